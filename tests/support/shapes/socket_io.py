"""An agent behind Socket.IO over WebSocket: protocol 5 on Engine.IO 4.

    WebSocket /socket.io/?EIO=4&transport=websocket

Two conventions of events on the one address:

- `message`, with a text or {"text", "session_id"?}; the agent emits `typing`, `message` {"text"} and
  `turn_complete` {"ended"}. An acknowledgement, where one is asked for, is {"ok": true} or {"error"}.
- Rasa's Socket.IO channel with `session_persistence`: `session_request` {"session_id"?} is answered with
  `session_confirm` and the id; `user_uttered` {"message", "session_id"} with `bot_uttered` {"text"}, and to
  `buttons` with "quick_replies" too. Without a session id it is ignored.

The conversation is the session id of the message, or else of the auth data at connect, or else the socket.
`bye` disconnects. The engine pings as `--ping-ms` says, and drops a client that does not answer in that time.

Sources, read on 2026-11-22: python-socketio 5.18, whose own server was run and its frames copied, and whose
client talks to this; rasa/core/channels/socketio.py of RasaHQ/rasa. Long polling is not served.
"""

import asyncio
import contextlib
import json
import re
import uuid
from typing import Any

import aiohttp
from aiohttp import web

from tests.support.shapes.common import Agent
from tests.support.shapes.echo import BoomError

_MAX_PAYLOAD_BYTES = 1_000_000
_PACKET = re.compile(r"(\d)(?:(/[^,]*),)?(\d+)?(.*)", re.DOTALL)
_CONNECT, _DISCONNECT, _EVENT, _ACK = "0", "1", "2", "3"
_CONNECT_ERROR = "4"


def make_app(agent: Agent) -> web.Application:
    """Builds the web application.

    Args:
        agent: The agent behind it.
    """

    async def connect(request: web.Request) -> web.StreamResponse:
        if request.query.get("EIO") != "4":
            sentence = "The client is using an unsupported version of the Socket.IO or Engine.IO protocols"
            return web.Response(text=json.dumps(sentence), status=400)
        if request.query.get("transport") != "websocket":
            return web.Response(text=json.dumps("Invalid transport"), status=400)
        socket = web.WebSocketResponse(max_msg_size=_MAX_PAYLOAD_BYTES)
        await socket.prepare(request)
        await _Connection(agent, request, socket).run()
        return socket

    app = web.Application()
    app.router.add_get("/socket.io/", connect)
    return app


class _Connection:
    def __init__(self, agent: Agent, request: web.Request, socket: web.WebSocketResponse) -> None:
        self._agent = agent
        self._request = request
        self._socket = socket
        self._sid: str | None = None
        self._auth: dict[str, Any] = {}
        self._pong = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        ping_ms = self._agent.settings.ping_ms
        opening = {
            "sid": uuid.uuid4().hex[:20],
            "upgrades": [],
            "pingTimeout": ping_ms,
            "pingInterval": ping_ms,
            "maxPayload": _MAX_PAYLOAD_BYTES,
        }
        await self._socket.send_str(f"0{json.dumps(opening)}")
        self._start(self._ping(ping_ms / 1000))
        async for frame in self._socket:
            if frame.type is aiohttp.WSMsgType.TEXT:
                await self._engine(frame.data)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _start(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _ping(self, seconds: float) -> None:
        while True:
            await asyncio.sleep(seconds)
            self._pong.clear()
            with contextlib.suppress(ConnectionResetError):
                await self._socket.send_str("2")
            try:
                async with asyncio.timeout(seconds):
                    await self._pong.wait()
            except TimeoutError:
                self._start(self._socket.close())
                return

    async def _engine(self, packet: str) -> None:
        match packet[:1]:
            case "1":
                await self._socket.close()
            case "3":
                self._pong.set()
            case "4":
                await self._packet(packet[1:])

    async def _packet(self, packet: str) -> None:
        found = _PACKET.fullmatch(packet)
        if found is None:
            return
        kind, namespace, ack, rest = found.groups()
        try:
            data = json.loads(rest) if rest else None
        except ValueError:
            return
        if kind == _CONNECT:
            if namespace not in {None, "/"}:
                await self._emit_raw(f'{_CONNECT_ERROR}{namespace},"Unable to connect"')
                return
            self._sid = uuid.uuid4().hex[:20]
            self._auth = data if isinstance(data, dict) else {}
            await self._emit_raw(f"{_CONNECT}{json.dumps({'sid': self._sid})}")
        elif kind == _DISCONNECT:
            self._sid = None
        # As in the real one, an event before CONNECT goes nowhere.
        elif kind == _EVENT and self._sid is not None and isinstance(data, list):
            self._start(self._event(data[0], data[1] if len(data) > 1 else None, ack))

    async def _event(self, name: str, data: Any, ack: str | None) -> None:
        match name:
            case "message":
                await self._message(data, ack)
            case "session_request":
                session_id = (data or {}).get("session_id") or uuid.uuid4().hex
                await self._emit("session_confirm", session_id)
            case "user_uttered" if data.get("session_id"):
                await self._uttered(data["session_id"], data["message"])

    async def _message(self, data: Any, ack: str | None) -> None:
        fields = data if isinstance(data, dict) else {"text": data}
        conversation = str(fields.get("session_id") or self._auth.get("session_id") or self._sid)
        await self._emit("typing", {})
        try:
            reply = await self._agent.answer(conversation, fields.get("text", ""), self._request)
        except BoomError:
            await self._acknowledge(ack, {"error": "internal error"})
            await self._emit("error", {"message": "internal error"})
            return
        await self._acknowledge(ack, {"ok": True})
        for text in reply.messages:
            await self._emit("message", {"text": text})
        await self._emit("turn_complete", {"ended": reply.ended})
        if reply.ended:
            await self._emit_raw(_DISCONNECT)
            await self._socket.close()

    async def _uttered(self, session_id: str, text: str) -> None:
        # Rasa logs a failure of the bot, and tells the client nothing.
        with contextlib.suppress(BoomError):
            reply = await self._agent.answer(session_id, text, self._request)
            for message in reply.messages:
                body: dict[str, Any] = {"text": message}
                if text.strip() == "buttons":
                    body["quick_replies"] = [
                        {"content_type": "text", "title": "Yes", "payload": "/affirm"},
                        {"content_type": "text", "title": "No", "payload": "/deny"},
                    ]
                await self._emit("bot_uttered", body)

    async def _acknowledge(self, ack: str | None, data: Any) -> None:
        if ack is not None:
            await self._emit_raw(f"{_ACK}{ack}{json.dumps([data])}")

    async def _emit(self, name: str, data: Any) -> None:
        await self._emit_raw(f"{_EVENT}{json.dumps([name, data])}")

    async def _emit_raw(self, packet: str) -> None:
        with contextlib.suppress(ConnectionResetError):
            await self._socket.send_str(f"4{packet}")
