"""What the shapes share: the agent behind them, its log, and the pieces of HTTP that all need."""

import asyncio
import dataclasses
import json
import time
from collections.abc import Mapping
from typing import Any, Self, TextIO

from aiohttp import web

from tests.support.shapes.echo import Echo, Reply, reply_to


@dataclasses.dataclass(frozen=True)
class Settings:
    """How a shape is run."""

    log: TextIO | None = None
    """Where each received message is written, as a line of JSON, before it is answered."""
    secret: str = "shape-secret"
    """What `async-callback` signs with."""
    ping_ms: int = 25_000
    """How often `socket-io` pings, and how long it waits for the answer."""
    address: str = ""
    """Its own address, such as `http://127.0.0.1:40001`."""


class Agent:
    """The agent behind a shape."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._echo = Echo()

    async def answer(
        self, conversation_id: str, text: str, request: web.Request | None = None, *, turn: int | None = None
    ) -> Reply:
        """Logs a message and answers it, after as long as its reply takes.

        Args:
            conversation_id: Whatever the shape calls it.
            text: What the customer wrote.
            request: Where it came from; its headers go to the log.
            turn: Its number, where the request tells it; None means that the agent counts.

        Raises:
            tests.support.shapes.echo.BoomError: The text is `boom`.
        """
        self.witness(conversation_id, text, request)
        reply = self._echo.reply(conversation_id, text) if turn is None else reply_to(turn, text)
        if reply.delay_seconds:
            await asyncio.sleep(reply.delay_seconds)
        return reply

    def witness(self, conversation_id: str, text: str, request: web.Request | None = None) -> None:
        """Logs a message.

        Args:
            conversation_id: Whatever the shape calls it.
            text: What the customer wrote.
            request: Where it came from.
        """
        if self.settings.log is None:
            return
        headers = {name.lower(): value for name, value in request.headers.items()} if request else {}
        entry = {
            "conversation_id": conversation_id,
            "text": text,
            "headers": headers,
            "path": request.path_qs if request else "",
            "monotonic_ns": time.monotonic_ns(),
        }
        self.settings.log.write(json.dumps(entry, ensure_ascii=False) + "\n")
        self.settings.log.flush()


async def json_body(request: web.Request) -> Any:
    """Reads a request's body as JSON.

    Args:
        request: The request.

    Returns:
        What it holds.

    Raises:
        ValueError: It is not JSON.
    """
    return json.loads(await request.read())


class EventStream:
    """A response of server-sent events, as the WHATWG HTML standard defines them."""

    def __init__(self, request: web.Request, headers: Mapping[str, str] | None = None) -> None:
        self._request = request
        self.response = web.StreamResponse(
            headers={"content-type": "text/event-stream", "cache-control": "no-cache", **(headers or {})}
        )
        """What the handler returns."""

    async def __aenter__(self) -> Self:
        await self.response.prepare(self._request)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.response.write_eof()

    async def send(self, data: Any, event: str | None = None) -> None:
        """Sends an event.

        Args:
            data: A text as it is, anything else as JSON.
            event: Its name; None sends none.
        """
        text = data if isinstance(data, str) else json.dumps(data, separators=(",", ":"), ensure_ascii=False)
        head = f"event: {event}\n" if event else ""
        await self.response.write(f"{head}data: {text}\n\n".encode())
