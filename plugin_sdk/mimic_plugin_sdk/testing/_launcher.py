"""Launches an adapter as a host does, and keeps all that it prints.

The reading of the handshake is lenient, so that one broken rule does not hide all others: what is wrong with
the line is for the rules to say.
"""

import asyncio
import contextlib
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from mimic.launch import COOKIE, COOKIE_VARIABLE

from mimic_plugin_sdk.testing._rule import BrokenError

MIN_PORT, MAX_PORT = 10000, 25000
START_LIMIT = timedelta(seconds=60)

_INHERITED = ("HOME", "LANG", "LC_ALL", "LC_CTYPE", "PATH", "SYSTEMROOT", "TMPDIR", "TZ")
_STDOUT, _STDERR = 1, 2


@dataclass(frozen=True)
class Handshake:
    """The first line that an adapter prints."""

    line: str
    """The line as it came, without its end."""
    fields: Sequence[str]
    """Its fields."""

    @property
    def version(self) -> str:
        """Version of the contract that the adapter chose."""
        return self.fields[1]

    @property
    def target(self) -> str:
        """The server's address, as gRPC wants it."""
        network, address = self.fields[2:4]
        return f"unix:{address}" if network == "unix" else address

    @property
    def socket(self) -> Path | None:
        """The unix socket; None where the adapter listens on TCP."""
        return Path(self.fields[3]) if self.fields[2] == "unix" else None


class _Streams(asyncio.SubprocessProtocol):
    def __init__(self) -> None:
        self.printed = {_STDOUT: bytearray(), _STDERR: bytearray()}
        self.open = {_STDOUT, _STDERR}
        self.exited = False
        self.changed = asyncio.Event()

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self.printed[fd] += data
        self.changed.set()

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        self.open.discard(fd)
        self.changed.set()

    def process_exited(self) -> None:
        self.exited = True
        self.changed.set()


class AdapterProcess:
    """An adapter that was launched."""

    def __init__(self, transport: asyncio.SubprocessTransport, streams: _Streams, folder: Path) -> None:
        self._transport = transport
        self._streams = streams
        self._killed = False
        self.folder = folder
        """PLUGIN_UNIX_SOCKET_DIR as it was given."""

    @property
    def pid(self) -> int:
        """Its process id, which is its process group's too."""
        return self._transport.get_pid()

    @property
    def exit_code(self) -> int | None:
        """How it ended; None while it runs."""
        return self._transport.get_returncode()

    @property
    def stdout(self) -> str:
        """All that it printed on standard output."""
        return self._streams.printed[_STDOUT].decode(errors="backslashreplace")

    @property
    def stderr(self) -> str:
        """All that it printed on standard error."""
        return self._streams.printed[_STDERR].decode(errors="backslashreplace")

    async def handshake(self) -> Handshake:
        """Waits for the handshake.

        Raises:
            BrokenError: It ended, or the start limit passed, without one.
        """

        def find() -> Handshake | None:
            for line in self.stdout.splitlines(keepends=True):
                fields = line.rstrip("\r\n").split("|")
                if line.endswith("\n") and len(fields) >= 4 and fields[0].strip().isdigit():
                    return Handshake(line=line.rstrip("\r\n"), fields=fields)
            return None

        await self._wait(lambda: find() is not None or self._ended, START_LIMIT)
        found = find()
        if found is None:
            raise BrokenError("a handshake line on stdout", self.account())
        return found

    async def ended(self, within: timedelta) -> bool:
        """Waits until it is gone, with all that hold its output. Returns False where it stays."""
        return await self._wait(lambda: self._ended, within)

    @property
    def _ended(self) -> bool:
        return self._streams.exited and not self._streams.open

    async def _wait(self, done: Callable[[], bool], within: timedelta) -> bool:
        try:
            async with asyncio.timeout(within.total_seconds()):
                while not done():
                    self._streams.changed.clear()
                    await self._streams.changed.wait()
        except TimeoutError:
            return False
        return True

    def signal(self, number: signal.Signals) -> None:
        """Signals its whole process group, as a terminal and a host do."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def account(self) -> str:
        """What became of it, in a line: its exit code and the last of what it printed."""
        state = "still running" if self.exit_code is None else f"exit code {self.exit_code}"
        last = (self.stderr.strip() or self.stdout.strip()).splitlines()[-1:]
        return f"{state}, last line {last[0][:300]!r}" if last else f"{state}, nothing printed"

    async def kill(self) -> None:
        """Ends it as a crash would, and takes its folder away. A second call does nothing."""
        if self._killed:
            return
        self._killed = True
        self.signal(signal.SIGKILL)
        await self._wait(lambda: self._ended, timedelta(seconds=5))
        self._transport.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def environment(folder: Path) -> dict[str, str]:
    """The variables that a host passes to an adapter."""
    inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    return inherited | {
        COOKIE_VARIABLE: COOKIE,
        "PLUGIN_PROTOCOL_VERSIONS": "1",
        "PLUGIN_MIN_PORT": str(MIN_PORT),
        "PLUGIN_MAX_PORT": str(MAX_PORT),
        "PLUGIN_UNIX_SOCKET_DIR": str(folder),
    }


async def launch(
    command: Sequence[str], env: Mapping[str, str], changes: Mapping[str, str | None] | None = None
) -> AdapterProcess:
    """Launches an adapter.

    Args:
        command: What to run.
        env: Further environment.
        changes: Variables of the launch that differ from what a host passes; None takes one away, and
            "{folder}" stands for the launch's own folder.

    Raises:
        BrokenError: The command cannot be run.
    """
    # Not below TMPDIR, whose path may be too long for a unix socket's 107 bytes.
    base = "/tmp" if sys.platform != "win32" else None  # noqa: S108
    folder = Path(tempfile.mkdtemp(prefix="mimic-", dir=base))
    variables: dict[str, str | None] = {**environment(folder), **env, **(changes or {})}
    loop = asyncio.get_running_loop()
    try:
        transport, streams = await loop.subprocess_exec(
            _Streams,
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            env={
                name: value.replace("{folder}", str(folder))
                for name, value in variables.items()
                if value is not None
            },
            process_group=0,
        )
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise BrokenError(f"{command[0]!r} to start", str(error)) from error
    return AdapterProcess(transport, streams, folder)
