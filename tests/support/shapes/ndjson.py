"""Agents behind newline-delimited JSON.

    POST /api/chat {"model", "messages": [{"role", "content"}], "stream"?}
        Ollama's: a line {"model", "created_at", "message": {"role", "content"}, "done": false} for each
        piece, the last with "done": true and "done_reason"; with "stream": false one object. It remembers
        nothing: the whole conversation comes with each request.
    POST /chat {"conversation_id", "message"}
        Ours: {"type": "delta", "text"}, {"type": "message", "text"} and {"type": "done", "ended"}; it
        remembers.

Source: Ollama's documentation of streaming (docs.ollama.com/api/streaming), as quoted on 2026-11-22.
"""

import datetime as dt
import json
from typing import Any

from aiohttp import web

from tests.support.shapes.common import Agent, json_body
from tests.support.shapes.echo import BoomError, pieces

_TYPE = "application/x-ndjson"


def make_app(agent: Agent) -> web.Application:
    """Builds the web application.

    Args:
        agent: The agent behind it.
    """
    shape = _Lines(agent)
    app = web.Application()
    app.add_routes([web.post("/api/chat", shape.ollama), web.post("/chat", shape.ours)])
    return app


class _Lines:
    def __init__(self, agent: Agent) -> None:
        self._agent = agent

    async def ollama(self, request: web.Request) -> web.StreamResponse:
        try:
            body = await json_body(request)
            model, messages = body["model"], body["messages"]
            texts = [message["content"] for message in messages if message["role"] == "user"]
        except (KeyError, TypeError, ValueError):
            return web.json_response({"error": "model is required"}, status=400)
        text = texts[-1] if texts else ""
        try:
            reply = await self._agent.answer("", text, request, turn=len(texts))
        except BoomError:
            return web.json_response(
                {"error": "an error was encountered while running the model"}, status=500
            )
        whole = body.get("stream") is False
        lines = [_ollama_line(model, piece) for piece in ([reply.text] if whole else pieces(reply.text))]
        end = {"done": True, "done_reason": "stop", "total_duration": 1, "eval_count": len(lines)}
        if whole:
            return web.json_response({**lines[0], **end})
        return await _write(request, [*lines, {**_ollama_line(model, ""), **end}])

    async def ours(self, request: web.Request) -> web.StreamResponse:
        try:
            body = await json_body(request)
            conversation_id, text = body["conversation_id"], body["message"]
            reply = await self._agent.answer(conversation_id, text, request)
        except (KeyError, TypeError, ValueError):
            return web.json_response({"error": "conversation_id and message are required"}, status=400)
        except BoomError:
            return web.json_response({"error": "internal error"}, status=500)
        lines: list[dict[str, Any]] = []
        for message in reply.messages:
            lines += [{"type": "delta", "text": piece} for piece in pieces(message)]
            lines.append({"type": "message", "text": message})
        return await _write(request, [*lines, {"type": "done", "ended": reply.ended}])


def _ollama_line(model: str, piece: str) -> dict[str, Any]:
    now = dt.datetime.now(dt.UTC).isoformat().replace("+00:00", "Z")
    message = {"role": "assistant", "content": piece}
    return {"model": model, "created_at": now, "message": message, "done": False}


async def _write(request: web.Request, lines: list[dict[str, Any]]) -> web.StreamResponse:
    response = web.StreamResponse(headers={"content-type": _TYPE})
    await response.prepare(request)
    for line in lines:
        await response.write(json.dumps(line).encode() + b"\n")
    await response.write_eof()
    return response
