"""An agent behind Rasa's REST channel.

    POST /webhooks/rest/webhook {"sender", "message", "metadata"?} -> [{"recipient_id", "text", "buttons"?}]
    GET  /webhooks/rest/        {"status": "ok"}

Source: rasa/core/channels/rest.py of RasaHQ/rasa, read on 2026-11-22. As there, a failure of the agent is
answered with 200 and an empty list, `?stream=true` sends a line of JSON for each message under the content
type of server-sent events, and a missing sender is `default`. `buttons` is a command of ours that answers
with buttons.
"""

import json
from typing import Any

from aiohttp import web

from tests.support.shapes.common import Agent, json_body
from tests.support.shapes.echo import BoomError

_DEFAULT_SENDER = "default"
_TRUE = {"1", "true", "yes"}


def make_app(agent: Agent) -> web.Application:
    """Builds the web application.

    Args:
        agent: The agent behind it.
    """
    shape = _Rasa(agent)
    app = web.Application()
    app.add_routes(
        [web.post("/webhooks/rest/webhook", shape.receive), web.get("/webhooks/rest/", shape.health)]
    )
    return app


class _Rasa:
    def __init__(self, agent: Agent) -> None:
        self._agent = agent

    async def health(self, _: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def receive(self, request: web.Request) -> web.StreamResponse:
        try:
            body = await json_body(request)
        except ValueError:
            # Sanic, which Rasa runs on, says so.
            return _failure(400, "Bad Request", "Failed when parsing body as json")
        if not isinstance(body, dict):
            return _failure(500, "Internal Server Error", "The server encountered an internal error")
        messages = await self._messages(request, body)
        if request.query.get("stream", "").lower() not in _TRUE:
            return web.json_response(messages)
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        for message in messages:
            await response.write(json.dumps(message).encode() + b"\n")
        await response.write_eof()
        return response

    async def _messages(self, request: web.Request, body: dict[str, Any]) -> list[dict[str, Any]]:
        sender = body.get("sender") or _DEFAULT_SENDER
        text = body.get("message")
        if not isinstance(text, str):
            return []
        try:
            reply = await self._agent.answer(sender, text, request)
        except BoomError:
            return []
        messages: list[dict[str, Any]] = [{"recipient_id": sender, "text": text} for text in reply.messages]
        if text.strip() == "buttons":
            messages[-1]["buttons"] = [
                {"title": "Yes", "payload": "/affirm"},
                {"title": "No", "payload": "/deny"},
            ]
        return messages


def _failure(status: int, description: str, message: str) -> web.Response:
    body = {"description": description, "status": status, "message": message}
    return web.json_response(body, status=status)
