"""An agent behind a plain WebSocket, in a form of our own; it stands for no platform.

    WebSocket /ws?session=ID&mode=json|text&greet=1&hello=1&last_seq=N

In mode `json`, the default, the client sends {"type": "message", "text", "id"?} and gets {"type": "typing"},
{"type": "message", "seq", "text", "in_reply_to"} once or more, and {"type": "turn_complete", "ended"}. On
connect it gets {"type": "ready", "session", "resumed", "last_seq"}. In mode `text` all frames are bare texts.

- `session` names the conversation; without it one is made. A second connection of a session closes the first
  with 4001.
- `greet=1`: in a new session the agent speaks first.
- `hello=1`: the client has to send {"type": "hello", "token"} first, and is answered {"type": "welcome"}.
  Anything else, and the token `bad`, is an error, and the connection closes with 4401.
- `last_seq=N`, on a session that is known, repeats each message after N; without it those not yet sent.
- The subprotocols `chat.v2` and `chat.v1` are understood, in this order.

Commands beside the usual: `drop` cuts the connection without a close frame and says two messages more, which
a client gets when it comes back; `close` closes with 1000; `boom` is {"type": "error", "code", "message"} and
1011; `bye` ends with {"type": "ended"} and 1000; `pause` says a second message 400 ms after the first,
`typing` in between; `quiet` never answers.
"""

import asyncio
import collections
import contextlib
import dataclasses
import json
import uuid
from typing import Any

import aiohttp
from aiohttp import web

from tests.support.shapes.common import Agent
from tests.support.shapes.echo import BoomError, Reply

_REPLACED = 4001
_UNAUTHORIZED = 4401
_BETWEEN_SECONDS = 0.02
_PAUSE_SECONDS = 0.4
_MAX_SESSIONS = 10_000


@dataclasses.dataclass
class _Session:
    key: str
    messages: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    sent: int = 0
    """The number of the last message that went out on some connection."""
    connection: "_Connection | None" = None


def make_app(agent: Agent) -> web.Application:
    """Builds the web application.

    Args:
        agent: The agent behind it.
    """
    sessions: collections.OrderedDict[str, _Session] = collections.OrderedDict()

    async def connect(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(protocols=("chat.v2", "chat.v1"))
        await socket.prepare(request)
        key = request.query.get("session") or uuid.uuid4().hex
        resumed = key in sessions
        session = sessions.setdefault(key, _Session(key))
        if len(sessions) > _MAX_SESSIONS:
            sessions.popitem(last=False)
        await _Connection(agent, request, socket, session).run(resumed=resumed)
        return socket

    app = web.Application()
    app.router.add_get("/ws", connect)
    return app


class _Connection:
    def __init__(
        self, agent: Agent, request: web.Request, socket: web.WebSocketResponse, session: _Session
    ) -> None:
        self._agent = agent
        self._request = request
        self._socket = socket
        self._session = session
        self._in_json = request.query.get("mode", "json") == "json"

    async def run(self, *, resumed: bool) -> None:
        if "hello" in self._request.query and not await self._greeted():
            await self._socket.close(code=_UNAUTHORIZED, message=b"unauthorized")
            return
        if self._session.connection is not None:
            older = self._session.connection
            await older._socket.close(code=_REPLACED, message=b"replaced")
        self._session.connection = self
        try:
            await self._open(resumed=resumed)
            async for frame in self._socket:
                if frame.type is aiohttp.WSMsgType.TEXT:
                    await self._receive(frame.data)
        finally:
            if self._session.connection is self:
                self._session.connection = None

    async def _greeted(self) -> bool:
        hello = _object(await self._socket.receive_str())
        if hello.get("type") != "hello" or hello.get("token") in {None, "bad"}:
            await self._send({"type": "error", "code": "unauthorized", "message": "say hello first"})
            return False
        await self._send({"type": "welcome"})
        return True

    async def _open(self, *, resumed: bool) -> None:
        last = self._request.query.get("last_seq")
        known = int(last) if last is not None else self._session.sent
        count = len(self._session.messages)
        await self._send(
            {"type": "ready", "session": self._session.key, "resumed": resumed, "last_seq": count}
        )
        for message in self._session.messages[known:]:
            await self._deliver(message)
        if "greet" in self._request.query and not resumed:
            await self._say("Hello! How can I help?", None)

    async def _receive(self, data: str) -> None:
        frame = _object(data) if self._in_json else {"type": "message", "text": data}
        text = frame.get("text")
        if frame.get("type") != "message" or not isinstance(text, str):
            await self._send(
                {"type": "error", "code": "bad_frame", "message": "expected a message with a text"}
            )
            return
        command = text.strip().lower()
        try:
            await self._send({"type": "typing"})
            reply = await self._agent.answer(self._session.key, text, self._request)
        except BoomError:
            await self._send({"type": "error", "code": "internal", "message": "internal error"})
            await self._socket.close(code=aiohttp.WSCloseCode.INTERNAL_ERROR)
            return
        match command:
            case "drop":
                await self._drop(frame.get("id"))
            case "close":
                await self._socket.close()
            case "quiet":
                pass
            case _:
                await self._answer(reply, frame.get("id"), pause=command == "pause")

    async def _answer(self, reply: Reply, in_reply_to: str | None, *, pause: bool) -> None:
        texts = [*reply.messages, "after the pause"] if pause else reply.messages
        for index, text in enumerate(texts):
            if index:
                await self._send({"type": "typing"})
                await asyncio.sleep(_PAUSE_SECONDS if pause else _BETWEEN_SECONDS)
            await self._say(text, in_reply_to)
        await self._send({"type": "turn_complete", "ended": reply.ended})
        if reply.ended:
            await self._send({"type": "ended"})
            await self._socket.close()

    async def _drop(self, in_reply_to: str | None) -> None:
        if self._request.transport is not None:
            self._request.transport.abort()
        self._session.connection = None
        for text in ("said while you were gone", "and this too"):
            self._store(text, in_reply_to)

    async def _say(self, text: str, in_reply_to: str | None) -> None:
        await self._deliver(self._store(text, in_reply_to))

    def _store(self, text: str, in_reply_to: str | None) -> dict[str, Any]:
        messages = self._session.messages
        message = {"type": "message", "seq": len(messages) + 1, "text": text, "in_reply_to": in_reply_to}
        messages.append(message)
        return message

    async def _deliver(self, message: dict[str, Any]) -> None:
        self._session.sent = max(self._session.sent, message["seq"])
        if self._in_json:
            await self._send(message)
        else:
            with contextlib.suppress(ConnectionResetError):
                await self._socket.send_str(message["text"])

    async def _send(self, frame: dict[str, Any]) -> None:
        """Sends a frame that only JSON mode has."""
        if self._in_json:
            with contextlib.suppress(ConnectionResetError):
                await self._socket.send_str(json.dumps(frame))


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
