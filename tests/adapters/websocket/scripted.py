"""An agent that does on the wire exactly what a test says, however wrong: RFC 6455 from the server's side."""

import asyncio
import base64
import hashlib
import json
import ssl
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Self

from tests.plugin_sdk.host import SECONDS

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Gone(Exception):  # noqa: N818 - says what happened
    """The adapter closed the socket, or let it go."""


class Peer:
    """One connection of the adapter's."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: str) -> None:
        self._reader = reader
        self._writer = writer
        self.target = request.split(" ")[1]
        """What was asked for: path and query."""
        lines = (line.partition(": ") for line in request.split("\r\n")[1:] if line)
        self.headers = {name.lower(): value for name, _, value in lines}
        """The request's headers, by their names in lower case."""
        self.close_code = 0
        """What the adapter closed with."""

    def write(self, data: bytes) -> None:
        """Write bytes as they are."""
        self._writer.write(data)

    async def drained(self) -> None:
        """Wait until the adapter has read most of what was written."""
        await self._writer.drain()

    def accept(self, *headers: str) -> None:
        """Answer the handshake."""
        key = self.headers["sec-websocket-key"] + _GUID
        accepted = base64.b64encode(hashlib.sha1(key.encode(), usedforsecurity=False).digest()).decode()
        fields = ("Upgrade: websocket", "Connection: Upgrade", f"Sec-WebSocket-Accept: {accepted}", *headers)
        self.write("\r\n".join(["HTTP/1.1 101 Switching Protocols", *fields, "", ""]).encode())

    def refuse(self, status: int, *headers: str) -> None:
        """Answer the handshake with another status."""
        fields = [f"HTTP/1.1 {status} Whatever", "Content-Length: 0", *headers, "", ""]
        self.write("\r\n".join(fields).encode())

    def frame(self, opcode: int, payload: bytes) -> None:
        """Write a frame."""
        self.write(frame(opcode, payload))

    def say(self, *texts: str) -> None:
        """Write text frames."""
        for text in texts:
            self.frame(TEXT, text.encode())

    def tell(self, *data: dict[str, Any]) -> None:
        """Write text frames of JSON."""
        self.say(*map(json.dumps, data))

    def close(self, code: int, reason: str = "") -> None:
        """Write a close frame; 0 as code: one without."""
        self.frame(CLOSE, struct.pack("!H", code) + reason.encode() if code else b"")

    def abort(self) -> None:
        """Cut the connection."""
        self._writer.transport.abort()

    async def read(self) -> tuple[int, bytes]:
        """Wait for a frame; its opcode and payload."""
        try:
            first, second = await self._reader.readexactly(2)
            assert second & 0x80, "a client masks its frames"
            size = second & 0x7F
            if size > 125:
                size = int.from_bytes(await self._reader.readexactly(2 if size == 126 else 8))
            mask = await self._reader.readexactly(4)
            payload = await self._reader.readexactly(size)
        except (asyncio.IncompleteReadError, ConnectionError):
            raise Gone from None
        whole = int.from_bytes(payload) ^ int.from_bytes((mask * (size // 4 + 1))[:size])
        return first & 0x0F, whole.to_bytes(size)

    async def hear(self) -> str:
        """Wait for the next text or binary frame; pings in between are answered."""
        while True:
            opcode, payload = await self.read()
            if opcode == CLOSE:
                self.close_code = int.from_bytes(payload[:2])
                raise Gone
            if opcode == PING:
                self.frame(PONG, payload)
            elif opcode in {TEXT, BINARY}:
                return payload.decode()

    async def hear_json(self) -> Any:
        """Wait for the next frame, of JSON."""
        return json.loads(await self.hear())

    async def gone(self) -> None:
        """Wait until the adapter has closed the socket, or let it go."""
        with suppress(Gone):
            while True:
                await self.hear()


Play = Callable[[Peer], Awaitable[None]]
"""Serves one connection; it is closed at the end of it, if it was not before."""


def frame(opcode: int, payload: bytes, *, first_bits: int = 0x80) -> bytes:
    """Make a frame."""
    size = len(payload)
    if size < 126:
        head = bytes([first_bits | opcode, size])
    elif size < 65536:
        head = struct.pack("!BBH", first_bits | opcode, 126, size)
    else:
        head = struct.pack("!BBQ", first_bits | opcode, 127, size)
    return head + payload


def answering(*answers: dict[str, Any]) -> Play:
    """Accept, and answer each message with the same frames."""

    async def play(peer: Peer) -> None:
        peer.accept()
        while True:
            await peer.hear()
            peer.tell(*answers)

    return play


class ScriptedAgent:
    """The agent: serves one play a connection, in their order, and the last one for ever after."""

    def __init__(self, *plays: Play, tls: ssl.SSLContext | None = None) -> None:
        self._plays = list(plays)
        self._tls = tls
        self._peers: list[Peer] = []
        self._news = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()
        self._failed: list[BaseException] = []

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=2048, ssl=self._tls)
        self.url = f"ws://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *raised: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()
        if self._failed and raised == (None, None, None):
            raise self._failed[0]

    async def peer(self, number: int = 1) -> Peer:
        """Wait for a connection, the first being 1."""
        async with asyncio.timeout(SECONDS), self._news:
            await self._news.wait_for(lambda: len(self._peers) >= number)
        return self._peers[number - 1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            request = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            peer = Peer(reader, writer, request)
            play = self._plays.pop(0) if len(self._plays) > 1 else self._plays[0]
            async with self._news:
                self._peers.append(peer)
                self._news.notify_all()
            await play(peer)
            await writer.drain()
        except (Gone, ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        except Exception as error:  # noqa: BLE001 - an assertion of the test's, told at its end
            self._failed.append(error)
        finally:
            writer.close()
