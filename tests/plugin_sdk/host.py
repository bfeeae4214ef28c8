"""A host reduced to its wire: launches an adapter process, reads its handshake and log, and calls it."""

import asyncio
import json
import os
import shutil
import signal
import sys
import tempfile
import uuid
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

import grpc
from google.rpc import error_details_pb2, status_pb2
from grpc.aio import AioRpcError, Channel, insecure_channel
from mimic.adapter.v1 import adapter_pb2, adapter_pb2_grpc, conversation_pb2
from mimic.launch import grpc_controller_pb2, grpc_controller_pb2_grpc
from mimic_plugin_sdk._stdout import COOKIE, COOKIE_NAME

from tests.support.processes import ROOT

SECONDS = 10
"""How long anything here may take before the test fails."""


def command(adapter: str) -> list[str]:
    """Return the command of one of the adapters in `adapters.py`."""
    return [sys.executable, "-m", "tests.plugin_sdk.adapters", adapter]


def environment(**more: str) -> dict[str, str]:
    """Return what a host passes: little, and the cookie."""
    inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return inherited | {COOKIE_NAME: COOKIE, "PLUGIN_PROTOCOL_VERSIONS": "1"} | more


class Process:
    """An adapter process, its log collected as it comes."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[str] = []
        self._news = asyncio.Condition()
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self.process.stderr
        async for line in self.process.stderr:
            async with self._news:
                self.lines.append(line.decode().rstrip("\n"))
                self._news.notify_all()

    @property
    def log(self) -> list[dict[str, str]]:
        """The log's lines."""
        return [json.loads(line) for line in self.lines]

    async def logged(self, *texts: str) -> dict[str, str]:
        """Wait for a log line that holds the texts."""
        async with asyncio.timeout(SECONDS), self._news:
            while True:
                for line in self.lines:
                    if all(text in line for text in texts):
                        return dict(json.loads(line))
                await self._news.wait()

    async def ended(self) -> int:
        """Wait for the end of process and log, and return the status."""
        async with asyncio.timeout(SECONDS):
            status = await self.process.wait()
            await self._reading
        return status


@asynccontextmanager
async def started(
    arguments: Sequence[str], env: Mapping[str, str], folder: str | Path | None = None
) -> AsyncIterator[Process]:
    """Start a process of the test's, with its output in pipes; it is killed at the end."""
    process = await asyncio.create_subprocess_exec(
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=dict(env),
        cwd=folder or ROOT,
        start_new_session=True,
    )
    one = Process(process)
    try:
        yield one
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
        assert process.stdout
        await process.stdout.read()
        await one.ended()


class Talk:
    """One Converse call, event by event."""

    def __init__(self, stub: "adapter_pb2_grpc.AdapterServiceAsyncStub") -> None:
        self.call = stub.Converse()
        self.frames: list[conversation_pb2.ConverseResponse] = []
        self.events: list[conversation_pb2.Event] = []
        self._next = 0

    async def send(self, *items: conversation_pb2.HostItem, ack: int = 0) -> None:
        """Send one frame."""
        await self.call.write(conversation_pb2.ConverseRequest(items=items, ack=ack))

    async def say(self, message_id: str, text: str, *, ack: int = 0) -> None:
        """Send one message of the persona."""
        item = conversation_pb2.HostItem()
        item.send.message.id = message_id
        item.send.message.parts.add().text.text = text
        await self.send(item, ack=ack)

    async def close(self, reason: int = conversation_pb2.CLOSE_REASON_DONE) -> None:
        """Send Close and half-close."""
        item = conversation_pb2.HostItem()
        item.close.reason = reason  # type: ignore[assignment]
        await self.send(item)
        await self.call.done_writing()

    async def _read(self) -> bool:
        frame = await self.call.read()
        if not isinstance(frame, conversation_pb2.ConverseResponse):
            return False
        self.frames.append(frame)
        self.events.extend(frame.events)
        return True

    async def event(self) -> conversation_pb2.Event:
        """Wait for the next event."""
        async with asyncio.timeout(SECONDS):
            while self._next >= len(self.events):
                assert await self._read(), "the call ended"
        self._next += 1
        return self.events[self._next - 1]

    async def until(self, kind: str) -> conversation_pb2.Event:
        """Wait for the next event of a kind, past others."""
        while True:
            event = await self.event()
            if event.WhichOneof("event") == kind:
                return event

    async def rest(self) -> list[conversation_pb2.Event]:
        """Read to the end of the call, which has to be OK, and return what came."""
        async with asyncio.timeout(SECONDS):
            while await self._read():
                pass
            assert await self.call.code() is grpc.StatusCode.OK
        came = self.events[self._next :]
        self._next = len(self.events)
        return came

    async def failure(self) -> "Failed":
        """Read to the end of the call, which has to be an error, and return it."""

        async def to_the_end() -> None:
            while await self._read():
                pass

        return await failed(to_the_end())

    async def cancel(self) -> None:
        """Cancel the call."""
        self.call.cancel()
        async with asyncio.timeout(SECONDS):
            await self.call.code()


class Failed:
    """An error status, its details read."""

    def __init__(self, error: AioRpcError) -> None:
        self.code = error.code()
        self.message = error.details() or ""
        raw = dict(error.trailing_metadata() or ())["grpc-status-details-bin"]
        self.info = error_details_pb2.ErrorInfo()
        self.retry = error_details_pb2.RetryInfo()
        self.bad = error_details_pb2.BadRequest()
        for detail in status_pb2.Status.FromString(bytes(raw)).details:
            for kind in (self.info, self.retry, self.bad):
                detail.Unpack(kind)

    @property
    def source(self) -> str:
        """Whose fault it is."""
        assert self.info.domain == "mimic.adapter"
        return self.info.metadata["fault_source"]


async def failed(call: Awaitable[Any]) -> Failed:
    """Wait for a call that has to fail, and return how it did."""
    try:
        async with asyncio.timeout(SECONDS):
            await call
    except AioRpcError as error:
        return Failed(error)
    raise AssertionError("the call did not fail")


class Host:
    """A launched adapter."""

    def __init__(self, process: Process, line: str, channel: Channel) -> None:
        self.process = process
        self.line = line
        self.channel = channel
        self.stub = adapter_pb2_grpc.AdapterServiceStub(channel)
        self.controller = grpc_controller_pb2_grpc.GRPCControllerStub(channel)

    @property
    def socket(self) -> Path:
        """Path of its socket."""
        return Path(self.line.split("|")[3])

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.process.pid

    async def connect(self, connection_id: str = "c", **settings: Any) -> adapter_pb2.ConnectResponse:
        """Bring a connection up."""
        request = adapter_pb2.ConnectRequest(connection_id=connection_id)
        request.settings.update(settings)
        return await self.stub.Connect(request)

    def watch(self) -> "Watch":
        """Watch its connections."""
        return Watch(self.stub.WatchConnections(adapter_pb2.WatchConnectionsRequest()))

    async def shut_down(self) -> None:
        """Ask it to end."""
        await self.controller.Shutdown(grpc_controller_pb2.Empty())

    async def open(
        self,
        session_id: str = "",
        *,
        attempt: int = 1,
        connection_id: str = "c",
        capture_raw: bool = False,
        resume: conversation_pb2.Resume | None = None,
    ) -> Talk:
        """Begin a Converse call with an Open."""
        talk = Talk(self.stub)
        item = conversation_pb2.HostItem()
        item.open.session_id = session_id or str(uuid.uuid4())
        item.open.attempt = attempt
        item.open.connection_id = connection_id
        item.open.persona.display_name = "Ada"
        item.open.persona.locale = "en-GB"
        item.open.capture_raw = capture_raw
        item.open.seed = 7
        if resume is not None:
            item.open.resume.CopyFrom(resume)
        await talk.send(item)
        return talk


class Watch:
    """One WatchConnections call, state by state."""

    def __init__(self, call: Any) -> None:
        self._call = call

    async def state(self) -> adapter_pb2.ConnectionStatus:
        """Wait for the next state."""
        async with asyncio.timeout(SECONDS):
            answer = await self._call.read()
        assert isinstance(answer, adapter_pb2.WatchConnectionsResponse)
        return answer.status


@asynccontextmanager
async def launched(adapter: str, **env: str) -> AsyncIterator[Host]:
    """Launch one of the adapters in `adapters.py`."""
    folder = tempfile.mkdtemp(prefix="mimic")
    try:
        async with started(command(adapter), environment(PLUGIN_UNIX_SOCKET_DIR=folder, **env)) as process:
            assert process.process.stdout
            async with asyncio.timeout(SECONDS):
                line = (await process.process.stdout.readline()).decode().rstrip("\n")
            assert line, f"no handshake: {process.lines}"
            network, address = line.split("|")[2:4]
            target = f"unix:{address}" if network == "unix" else address
            async with insecure_channel(target) as channel:
                yield Host(process, line, channel)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@asynccontextmanager
async def conversing(adapter: str, **settings: Any) -> AsyncIterator[Host]:
    """Launch an adapter and bring a connection up."""
    async with launched(adapter) as host:
        await host.connect(**settings)
        yield host


class Gone:
    """Waits for the end of a process that is not a child, such as a grandchild."""

    def __init__(self, pid: int) -> None:
        self._fd = os.pidfd_open(pid)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)

    async def wait(self) -> None:
        """Wait for the end."""
        loop = asyncio.get_running_loop()
        gone = asyncio.Event()
        loop.add_reader(self._fd, gone.set)
        try:
            async with asyncio.timeout(SECONDS):
                await gone.wait()
        finally:
            loop.remove_reader(self._fd)
