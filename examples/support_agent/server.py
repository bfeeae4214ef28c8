"""The HTTP side of the example agent.

    POST /chat  {"conversation_id", "message", "message_id"?}  ->  {"reply", "ended"?}
    GET  /healthz                                              ->  {"status": "ok"}

A bad request is answered with 400 and `{"error": ...}`.
"""

import argparse
import asyncio
import collections
import dataclasses
import datetime as dt
import json
import pathlib
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TextIO

from aiohttp import web

from examples.support_agent.dialogue import Answer, Conversation, Intent, answer, new_conversation

MAX_CONVERSATIONS = 10_000
"""How many conversations are remembered; beyond that the one unused for longest is forgotten."""

_MAX_BODY_BYTES = 64 * 1024
_BACKLOG = 1024


@dataclasses.dataclass(frozen=True, slots=True)
class Settings:
    """How the agent is run."""

    slow_ms: int = 2500
    """How long a question about the opening hours takes."""
    delay_ms: int | None = None
    """How long every other question takes; None means 50 to 150 ms, always the same for the same message."""
    log: TextIO | None = None
    """Where each message is written, as a line of JSON, before it is answered; None means nowhere."""


class Agent:
    """The agent behind the address: conversations, delays and the log."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._conversations: collections.OrderedDict[str, Conversation] = collections.OrderedDict()

    async def chat(self, request: web.Request) -> web.Response:
        """Answers one message of a customer.

        Args:
            request: The request; its body is checked here.

        Raises:
            web.HTTPBadRequest: The body is not what the API asks for.
        """
        received_ns = time.monotonic_ns()
        conversation_id, text, message_id = _parse(await request.read())
        if self._settings.log is not None:
            entry = {
                "conversation_id": conversation_id,
                "message_id": message_id,
                "header_message_id": request.headers.get("Mimic-Message-Id"),
                "text": text,
                "monotonic_ns": received_ns,
                "time": dt.datetime.now(dt.UTC).isoformat(),
            }
            self._settings.log.write(json.dumps(entry, ensure_ascii=False) + "\n")
            self._settings.log.flush()
        conversation = self._conversation(conversation_id)
        reply = answer(conversation, text)
        await asyncio.sleep(self._delay_ms(conversation, reply) / 1000)
        body: dict[str, Any] = {"reply": reply.text}
        if reply.ended:
            body["ended"] = True
        return web.json_response(body)

    def _conversation(self, conversation_id: str) -> Conversation:
        conversation = self._conversations.get(conversation_id)
        if conversation is not None:
            self._conversations.move_to_end(conversation_id)
            return conversation
        conversation = self._conversations[conversation_id] = new_conversation(conversation_id)
        if len(self._conversations) > MAX_CONVERSATIONS:
            self._conversations.popitem(last=False)
        return conversation

    def _delay_ms(self, conversation: Conversation, reply: Answer) -> int:
        if reply.intent is Intent.HOURS:
            return self._settings.slow_ms
        if self._settings.delay_ms is not None:
            return self._settings.delay_ms
        return 50 + (conversation.key + 37 * conversation.turn) % 101


def make_app(settings: Settings) -> web.Application:
    """Builds the web application.

    Args:
        settings: How the agent is run.
    """
    app = web.Application(client_max_size=_MAX_BODY_BYTES, middlewares=[_json_errors])
    app.add_routes([web.post("/chat", Agent(settings).chat), web.get("/healthz", _healthz)])
    return app


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the agent until it is interrupted or terminated.

    Args:
        arguments: The command line; None means the process's own.
    """
    parser = argparse.ArgumentParser(
        prog="support_agent", description="The example agent of Northwind Outdoor."
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8700, help="0 takes any free port (default: %(default)s)")
    parser.add_argument("--log", type=pathlib.Path, help="append each received message to this file, as JSON")
    parser.add_argument(
        "--delay-ms", type=int, help="answer everything but the slow intent after exactly this long"
    )
    parser.add_argument(
        "--slow-ms", type=int, default=2500, help="delay of the slow intent (default: %(default)s)"
    )
    options = parser.parse_args(arguments)
    log = options.log.open("a", encoding="utf-8") if options.log else None
    listener = socket.create_server((options.host, options.port), backlog=_BACKLOG)
    app = make_app(Settings(options.slow_ms, options.delay_ms, log))

    async def announce(_: web.Application) -> None:
        # The socket listens already, so whoever reads this line may connect.
        print(f"listening on http://{options.host}:{listener.getsockname()[1]}", flush=True)  # noqa: T201 - the interface

    app.on_startup.append(announce)
    web.run_app(app, sock=listener, print=None, access_log=None, backlog=_BACKLOG, shutdown_timeout=1)


async def _healthz(_: web.Request) -> web.Response:
    return web.json_response({"status": "ok"})


@web.middleware
async def _json_errors(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as error:
        return web.json_response({"error": error.text or error.reason}, status=error.status)


def _parse(body: bytes) -> tuple[str, str, str | None]:
    try:
        value = json.loads(body)
    except ValueError as error:
        raise web.HTTPBadRequest(text="the body is not JSON") from error
    if not isinstance(value, dict):
        raise web.HTTPBadRequest(text="the body must be a JSON object")
    conversation_id, message, message_id = (
        value.get(name) for name in ("conversation_id", "message", "message_id")
    )
    if not isinstance(conversation_id, str) or not conversation_id:
        raise web.HTTPBadRequest(text="conversation_id must be a string that is not empty")
    if not isinstance(message, str) or not message.strip():
        raise web.HTTPBadRequest(text="message must be a string that is not empty")
    if message_id is not None and not isinstance(message_id, str):
        raise web.HTTPBadRequest(text="message_id must be a string")
    return conversation_id, message, message_id
