"""An agent that answers later, and is asked whether it is done.

    POST /messages {"conversation_id", "message"}
         -> 202 {"id", "status"}, Location: /operations/{id}, Retry-After: 0
    GET  /operations/{id}
         -> 202 {"status": "running"} until it is done; then 200 and {"status": "succeeded", "result":
         {"messages": [{"text"}], "ended"}}, or {"status": "failed", "error"}

The form is RFC 9110's (202, Location, Retry-After) as the Azure REST guidelines use it for long-running
operations; from memory, 2026-11-22. The first look at an operation never finds it done.
"""

import asyncio
import dataclasses
import itertools

from aiohttp import web

from tests.support.shapes.common import Agent, json_body
from tests.support.shapes.echo import BoomError, Reply

_MISSING = {"error": {"code": "InvalidRequest", "message": "conversation_id and message are required"}}


@dataclasses.dataclass
class _Operation:
    task: "asyncio.Task[Reply]"
    looks: int = 0


def make_app(agent: Agent) -> web.Application:
    """Builds the web application.

    Args:
        agent: The agent behind it.
    """
    shape = _Polling(agent)
    app = web.Application()
    app.add_routes([web.post("/messages", shape.start), web.get("/operations/{id}", shape.look)])
    return app


class _Polling:
    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._operations: dict[str, _Operation] = {}
        self._numbers = itertools.count(1)

    async def start(self, request: web.Request) -> web.Response:
        try:
            body = await json_body(request)
            conversation_id, text = body["conversation_id"], body["message"]
        except (KeyError, TypeError, ValueError):
            return web.json_response(_MISSING, status=400)
        key = f"op-{next(self._numbers)}"
        self._operations[key] = _Operation(
            asyncio.create_task(self._agent.answer(conversation_id, text, request))
        )
        headers = {"Location": f"/operations/{key}", "Retry-After": "0"}
        return web.json_response({"id": key, "status": "running"}, status=202, headers=headers)

    async def look(self, request: web.Request) -> web.Response:
        key = request.match_info["id"]
        operation = self._operations.get(key)
        if operation is None:
            error = {"error": {"code": "NotFound", "message": f"no operation {key}"}}
            return web.json_response(error, status=404)
        operation.looks += 1
        if operation.looks == 1 or not operation.task.done():
            body = {"id": key, "status": "running"}
            return web.json_response(body, status=202, headers={"Retry-After": "0"})
        try:
            reply = operation.task.result()
        except BoomError:
            failure = {"code": "InternalError", "message": "boom"}
            return web.json_response({"id": key, "status": "failed", "error": failure})
        result = {"messages": [{"text": text} for text in reply.messages], "ended": reply.ended}
        return web.json_response({"id": key, "status": "succeeded", "result": result})
