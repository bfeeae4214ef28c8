"""Services under test run as processes of their own: started, waited for and stopped here."""

import asyncio
import contextlib
import dataclasses
import os
import pathlib
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence

ROOT = pathlib.Path(__file__).resolve().parents[2]
"""The root of the tree: modules named on a command line are found from here."""

_READY = "listening on "
_START_SECONDS = 30
_STOP_SECONDS = 5


@dataclasses.dataclass(frozen=True)
class Service:
    """A running process that serves an address."""

    url: str
    """The address from its ready line, without a slash at the end."""
    process: asyncio.subprocess.Process

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self.url.split("://", 1)[1].split("/", 1)[0].rsplit(":", 1)[1])

    async def kill(self) -> None:
        """Ends it as a crash would, with nothing cleaned up, and waits until it is gone."""
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        await self.process.wait()


@contextlib.asynccontextmanager
async def python_service(module: str, arguments: Sequence[str] = ()) -> AsyncIterator[Service]:
    """Runs a module of the tree that prints `listening on <address>` when it is ready.

    Args:
        module: Its name, as after `python -m`.
        arguments: The rest of its command line.

    Yields:
        The service, ready. It is stopped at the end.

    Raises:
        RuntimeError: It ended before it was ready, or was not ready in time; the message has what it wrote.
    """
    with tempfile.TemporaryFile() as errors:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            module,
            *arguments,
            cwd=ROOT,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
        )
        try:
            url = await _ready_address(process)
            if url is None:
                errors.seek(0)
                written = errors.read().decode(errors="replace")
                message = f"{module} did not get ready; it wrote:\n{written}"
                raise RuntimeError(message)
            yield Service(url, process)
        finally:
            await _stop(process)


async def _ready_address(process: asyncio.subprocess.Process) -> str | None:
    assert process.stdout is not None
    try:
        async with asyncio.timeout(_START_SECONDS):
            async for line in process.stdout:
                text = line.decode().strip()
                if text.startswith(_READY):
                    return text.removeprefix(_READY).rstrip("/")
    except TimeoutError:
        pass
    return None


async def _stop(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(_STOP_SECONDS):
            await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
