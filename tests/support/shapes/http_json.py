"""An agent behind plain JSON over HTTP, with the conversation's id wherever a client may put it.

    POST /chat                          {"conversation_id", "message"}
    POST /conversations/{id}/messages   {"message"}
    POST /header                        {"message"}, with the header `X-Conversation-Id`
    POST /cookie                        {"message"}, with the cookie `session`, which the first answer sets

Each answers `{"data": {"conversation_id", "messages": [{"text"}], "ended"}}`: nested, so that a path to the
reply is needed. This shape is ours; it stands for no platform.
"""

import uuid

from aiohttp import web

from tests.support.shapes.common import Agent, json_body
from tests.support.shapes.echo import BoomError

_COOKIE = "session"


def make_app(agent: Agent) -> web.Application:
    """Builds the web application.

    Args:
        agent: The agent behind it.
    """
    shape = _HttpJson(agent)
    app = web.Application()
    app.add_routes(
        [
            web.post("/chat", shape.chat),
            web.post("/conversations/{id}/messages", shape.path),
            web.post("/header", shape.header),
            web.post("/cookie", shape.cookie),
        ]
    )
    return app


class _HttpJson:
    def __init__(self, agent: Agent) -> None:
        self._agent = agent

    async def chat(self, request: web.Request) -> web.Response:
        body = await _object(request)
        return await self._answer(request, body.get("conversation_id"), body)

    async def path(self, request: web.Request) -> web.Response:
        return await self._answer(request, request.match_info["id"], await _object(request))

    async def header(self, request: web.Request) -> web.Response:
        return await self._answer(request, request.headers.get("X-Conversation-Id"), await _object(request))

    async def cookie(self, request: web.Request) -> web.Response:
        conversation_id = request.cookies.get(_COOKIE) or uuid.uuid4().hex
        response = await self._answer(request, conversation_id, await _object(request))
        response.set_cookie(_COOKIE, conversation_id, httponly=True)
        return response

    async def _answer(
        self, request: web.Request, conversation_id: object, body: dict[str, object]
    ) -> web.Response:
        text = body.get("message")
        if not isinstance(text, str) or not isinstance(conversation_id, str):
            return web.json_response({"error": "a message and a conversation's id are required"}, status=400)
        try:
            reply = await self._agent.answer(conversation_id, text, request)
        except BoomError:
            return web.json_response({"error": "internal error"}, status=500)
        messages = [{"text": text} for text in reply.messages]
        data = {"conversation_id": conversation_id, "messages": messages, "ended": reply.ended}
        return web.json_response({"data": data})


async def _object(request: web.Request) -> dict[str, object]:
    try:
        body = await json_body(request)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
