"""Reaching a server: which address, which key."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc

from mimic_server.cli.errors import CommandError, Exit
from mimic_server.config import default_data_directory

ADDRESS_FILE = "address"
KEY_FILE = "admin.key"

CHANNEL_OPTIONS = [("grpc.max_receive_message_length", 64 * 1024 * 1024)]


@dataclass(frozen=True)
class Target:
    """A server, and the key to it."""

    address: str
    api_key: str

    @property
    def metadata(self) -> tuple[tuple[str, str | bytes], ...]:
        """What a call carries."""
        return (("x-api-key", self.api_key),) if self.api_key else ()

    @contextmanager
    def channel(self) -> Iterator[grpc.Channel]:
        """A channel to the server, closed with the block."""
        with grpc.insecure_channel(self.address, options=CHANNEL_OPTIONS) as channel:
            yield channel


def data_directory(data_dir: str | None) -> Path:
    """The data directory that was named, or the default."""
    named = data_dir or os.environ.get("MIMIC_DATA_DIR")
    return Path(named).expanduser() if named else default_data_directory()


def find(address: str | None, api_key: str | None, data_dir: str | None) -> Target:
    """The server that was named, or the one that runs on this machine's data directory.

    Raises:
        CommandError: None was named and none has left its address.
    """
    folder = data_directory(data_dir)
    address = address or os.environ.get("MIMIC_ADDRESS") or _read(folder / ADDRESS_FILE)
    api_key = api_key or os.environ.get("MIMIC_API_KEY") or _read(folder / KEY_FILE)
    if not address:
        raise CommandError(
            f"no server runs on {folder}: start one with `mimic serve`, or name one with --address",
            Exit.INFRASTRUCTURE,
        )
    return Target(address, api_key or "")


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return None
