"""An agent that does on the wire exactly what a test says, however wrong."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Self

from tests.plugin_sdk.host import SECONDS

Play = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
"""Answers one request; the connection is closed after it where it raises ConnectionError."""


@dataclass(frozen=True)
class Received:
    """A request as it came."""

    line: str
    """Its first line."""
    headers: dict[str, str]
    """Its headers, by their names in lower case."""
    body: bytes
    """Its body."""
    connection: int
    """Number of its connection, from 1."""


def answer(
    status: int = 200,
    body: bytes = b'{"reply": "ok"}',
    *,
    headers: Sequence[str] = (),
    kind: str = "application/json",
) -> Play:
    """Answer with a response that is whole."""

    async def play(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(head(status, f"Content-Type: {kind}", f"Content-Length: {len(body)}", *headers) + body)

    return play


def head(status: int, *headers: str) -> bytes:
    """Make the head of a response."""
    return "\r\n".join([f"HTTP/1.1 {status} Whatever", *headers, "", ""]).encode()


def chunk(text: str) -> bytes:
    """Make a piece of a chunked body."""
    data = text.encode()
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


END = b"0\r\n\r\n"
"""The end of a chunked body."""
SSE = head(200, "Content-Type: text/event-stream", "Transfer-Encoding: chunked")


def close(written: bytes = b"", *, reset: bool = False) -> Play:
    """Close the connection, after some bytes."""

    async def play(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(written)
        if reset:
            await writer.drain()
            writer.transport.abort()
        raise ConnectionError

    return play


@dataclass
class ScriptedAgent:
    """The agent: serves one play a request, in their order, and the last one for ever after."""

    plays: list[Play] = field(default_factory=lambda: [answer()])
    """What it does."""
    close_idle: bool = False
    """Whether each connection is closed once it has served a request."""
    port: int = 0
    """Its port; 0 takes a free one."""

    async def __aenter__(self) -> Self:
        self._received: list[Received] = []
        self._news = asyncio.Condition()
        self._connections = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/chat"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def received(self, number: int) -> list[Received]:
        """Wait until it received that many requests, and return all."""
        async with asyncio.timeout(SECONDS), self._news:
            await self._news.wait_for(lambda: len(self._received) >= number)
        return list(self._received)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self._connections += 1
        connection = self._connections
        try:
            while True:
                await self._take(reader, connection)
                play = self.plays.pop(0) if len(self.plays) > 1 else self.plays[0]
                await play(reader, writer)
                await writer.drain()
                if self.close_idle:
                    return
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _take(self, reader: asyncio.StreamReader, connection: int) -> None:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {
            name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:] if line)
        }
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        async with self._news:
            self._received.append(Received(lines[0], headers, body, connection))
            self._news.notify_all()
