"""Which adapters there are: attached addresses, and executables found by their name."""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mimic_server.host.handshake import is_loopback
from mimic_server.host.settings import Attached

_logger = logging.getLogger("mimic.host")

_PREFIX = "mimic-adapter-"
_CHANNEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")
_NOT_ADAPTERS = frozenset({"conformance"})
"""Tools that bear the prefix: the conformance kit's command."""


@dataclass(frozen=True, slots=True)
class Found:
    """An adapter that may be used."""

    channel: str
    executable: Path | None
    """None: it is attached."""
    attached: Attached | None = None

    @property
    def launched_by(self) -> str:
        """The command or the attached address, for people."""
        return str(self.executable) if self.attached is None else self.attached.address


class Discovery:
    """Looks for adapters.

    In this order, the first wins: attached addresses; executables in the configured directories; beside the
    running interpreter, where a virtual environment's commands are; on PATH.

    Args:
        directories: The configured directories.
        search_path: PATH. None: the process's.
        attached: Attached addresses by channel.

    Raises:
        ValueError: An attached address is not host:port, or plaintext to another machine.
    """

    def __init__(
        self, directories: Sequence[Path], search_path: str | None, attached: Mapping[str, Attached]
    ) -> None:
        for channel, one in attached.items():
            _check_attached(channel, one)
        self._attached = dict(attached)
        path = os.environ.get("PATH", "") if search_path is None else search_path
        # A relative entry of PATH means another directory in each shell: what it holds is not run unasked.
        on_path = [Path(entry) for entry in path.split(os.pathsep) if Path(entry).is_absolute()]
        everywhere = [*(d.absolute() for d in directories), Path(sys.executable).parent, *on_path]
        self._directories = list(dict.fromkeys(everywhere))

    def all(self) -> dict[str, Found]:
        """Every adapter there is, by channel. What is shadowed is logged."""
        found = {channel: Found(channel, None, one) for channel, one in self._attached.items()}
        for directory in self._directories:
            for channel, executable in _executables(directory):
                winner = found.setdefault(channel, Found(channel, executable))
                if winner.executable is None or not _same(winner.executable, executable):
                    _logger.warning(
                        "the %s adapter is %s; %s is left aside", channel, winner.launched_by, executable
                    )
        return found

    def one(self, channel: str) -> Found | None:
        """The adapter of a channel, looked for anew. Returns None if there is none."""
        if channel in self._attached:
            return Found(channel, None, self._attached[channel])
        if not _is_channel(channel):
            return None
        for directory in self._directories:
            executable = directory / f"{_PREFIX}{channel}"
            if _is_executable(executable):
                return Found(channel, executable)
        return None


def _executables(directory: Path) -> Iterator[tuple[str, Path]]:
    try:
        names = sorted(file.name for file in directory.iterdir() if file.name.startswith(_PREFIX))
    except OSError:
        return
    for name in names:
        channel = name.removeprefix(_PREFIX)
        if _is_channel(channel) and _is_executable(directory / name):
            yield channel, directory / name


def _is_channel(name: str) -> bool:
    return _CHANNEL.fullmatch(name) is not None and name not in _NOT_ADAPTERS


def _is_executable(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)


def _same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False


def _check_attached(channel: str, one: Attached) -> None:
    host, _, port = one.address.rpartition(":")
    if not _is_channel(channel):
        raise ValueError(f"an attached adapter's channel is no channel's name: {channel!r}")
    if not host or not port.isdecimal():
        raise ValueError(f"the attached {channel} adapter's address is not host:port: {one.address!r}")
    if one.tls is None and not one.allow_plaintext and not is_loopback(one.address):
        raise ValueError(
            f"the attached {channel} adapter at {one.address} is on another machine: configure TLS for it, "
            "or allow plaintext by name"
        )
