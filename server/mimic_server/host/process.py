"""One process of an adapter, from its launch to its end."""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import signal
import tempfile
from pathlib import Path

from mimic.launch import CONTRACT_VERSION, COOKIE, COOKIE_VARIABLE

from mimic_server.host.handshake import Handshake, HandshakeError, read_handshake
from mimic_server.host.log_book import LineFeed, LogBook
from mimic_server.host.pipe import Pipe
from mimic_server.host.settings import Launch, Limits
from mimic_server.host.spawner import CANNOT_RUN, Child, Spawner
from mimic_server.host.texts import one_line

_INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TMPDIR", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR")
_HANDSHAKE_BYTES = 4096
# sun_path of sockaddr_un holds 107 bytes and a zero; adapters choose the socket's name.
_DIRECTORY_BYTES = 60
_LAST_LINES = 5
_GONE_SECONDS = 5


class StartError(Exception):
    """An adapter did not start, or did not stay.

    Attributes:
        reason: One line: which command, what happened, what it last said.
        remedy: One line: what to try.
    """

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.remedy = remedy


class AdapterProcess:
    """A running adapter. Make one by `launch`."""

    def __init__(self, command: list[str], child: Child, directory: Path, book: LogBook) -> None:
        self.child = child
        self.target = ""
        """Where it listens, as grpc takes it."""
        self._command = command
        self._directory = directory
        self._book = book
        self._logged_before = book.added
        self._first_line: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._begun = b""
        self._printed = LineFeed(book, "stdout")
        self._logged = LineFeed(book)
        self._stdout = Pipe(child.stdout, self._take_stdout)
        self._stderr = Pipe(child.stderr, self._logged.feed)
        child.exited.add_done_callback(self._tidy)

    @classmethod
    async def launch(
        cls, executable: Path, launch: Launch, spawner: Spawner, book: LogBook, limits: Limits
    ) -> AdapterProcess:
        """Starts an adapter and waits until it says where it listens.

        Raises:
            StartError: It ended, said something else, or said nothing in time. Nothing of it is left.
        """
        directory = _private_directory()
        command = [str(executable), *launch.arguments]
        environment = _environment(launch, directory)
        try:
            child = await spawner.spawn(command, environment, directory, launch.memory_limit_bytes)
        except BaseException as error:
            shutil.rmtree(directory, ignore_errors=True)
            if isinstance(error, OSError):
                raise StartError(f"{executable} could not be started: {error}", "see the error") from None
            raise
        process = cls(command, child, directory, book)
        try:
            process.target = (await process._handshake(limits.start_seconds)).target
        except BaseException:
            await process.kill()
            raise
        return process

    @property
    def command(self) -> str:
        """The command line, as a shell takes it."""
        return shlex.join(self._command)

    def account(self) -> str:
        """How it ended, and what it last logged: one line."""
        if not self.child.exited.done():
            return "it runs"
        code = self.child.exited.result()
        how = f"it was killed by {_signal_name(-code)}" if code < 0 else f"it ended with exit code {code}"
        last = " | ".join(self._book.last(_LAST_LINES, self._logged_before))
        return f"{how}; its last log lines: {one_line(last)}" if last else f"{how}, and had logged nothing"

    async def end(self, limits: Limits) -> None:
        """Waits for the process's end, which was asked for; then insists: SIGTERM, then SIGKILL."""
        if not await self._gone_within(limits.shutdown_seconds):
            self._book.note("warn", "it does not end although asked: SIGTERM")
            self.child.signal_group(signal.SIGTERM)
            if not await self._gone_within(limits.terminate_seconds):
                self._book.note("warn", "it does not end on SIGTERM: SIGKILL")
        await self.kill()

    async def kill(self) -> None:
        """Ends the process and its group at once."""
        self.child.signal_group(signal.SIGKILL)
        if not await self._gone_within(_GONE_SECONDS):
            self._book.note("error", f"the kernel does not end process {self.child.pid}")

    async def _gone_within(self, seconds: float) -> bool:
        await asyncio.wait([self.child.exited], timeout=seconds)
        return self.child.exited.done()

    async def _handshake(self, seconds: float) -> Handshake:
        waited_for: list[asyncio.Future[bytes] | asyncio.Future[int]] = [self._first_line, self.child.exited]
        await asyncio.wait(waited_for, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        by_hand = f"run `{self.command}` by hand to see what it lacks, then restart the adapter"
        if not self._first_line.done():
            if not self.child.exited.done():
                reason = f"`{self.command}` did not say within {seconds:g} s where it listens"
                raise StartError(reason, f"{by_hand}; if it is only slow, raise the start limit")
            if self.child.exited.result() == CANNOT_RUN:
                by_hand = f"check that {self._command[0]} and the interpreter of its first line can be run"
            raise StartError(f"`{self.command}` did not start: {self.account()}", by_hand)
        try:
            return read_handshake(self._first_line.result())
        except HandshakeError as error:
            raise StartError(f"`{self.command}` did not start: {error}", error.remedy) from None

    def _take_stdout(self, data: bytes) -> None:
        if self._first_line.done():
            self._printed.feed(data)
            return
        self._begun += data
        line, end, rest = self._begun.partition(b"\n")
        if end or len(line) > _HANDSHAKE_BYTES:
            self._begun = b""
            self._first_line.set_result(line)
            self._printed.feed(rest)

    def _tidy(self, _: object) -> None:
        for pipe, feed in ((self._stdout, self._printed), (self._stderr, self._logged)):
            pipe.finish()
            feed.finish()
        self.child.close_pipes()
        shutil.rmtree(self._directory, ignore_errors=True)


def _environment(launch: Launch, directory: Path) -> dict[str, str]:
    environment = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    environment |= launch.environment
    environment = {name: value for name, value in environment.items() if not name.startswith("PLUGIN_")}
    return environment | {
        COOKIE_VARIABLE: COOKIE,
        "PLUGIN_PROTOCOL_VERSIONS": str(CONTRACT_VERSION),
        "PLUGIN_MIN_PORT": "10000",
        "PLUGIN_MAX_PORT": "25000",
        "PLUGIN_UNIX_SOCKET_DIR": str(directory),
    }


def _private_directory() -> Path:
    for base in (tempfile.gettempdir(), "/tmp"):  # noqa: S108 - mkdtemp makes a name that nobody foresees
        if len(os.fsencode(base)) <= _DIRECTORY_BYTES:
            break
    return Path(tempfile.mkdtemp(prefix="mimic-", dir=base))


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
