"""An agent behind the UI message stream of Vercel's AI SDK.

    POST /api/chat
         {"id", "messages": [{"id", "role", "parts": [{"type": "text", "text"}]}], "trigger", "messageId"?}
         -> server-sent events: start, start-step, text-start, text-delta ..., text-end, finish-step, finish,
         and then the data [DONE]

Sources, read on 2026-11-22: packages/ai/src/ui-message-stream (ui-message-chunks.ts,
ui-message-stream-headers.ts, create-keep-alive-sse-stream.ts) and packages/ai/src/ui/http-chat-transport.ts
of vercel/ai. A failure is an `error` chunk whose text is masked, as `onError` does unless told otherwise.
What a route answers to a bad body is its author's own choice; here 400 and a text.
"""

from typing import Any

from aiohttp import web

from tests.support.shapes.common import Agent, EventStream, json_body
from tests.support.shapes.echo import BoomError, pieces

_HEADERS = {"x-vercel-ai-ui-message-stream": "v1", "x-accel-buffering": "no"}
_TRIGGERS = {"submit-message", "regenerate-message", None}


def make_app(agent: Agent) -> web.Application:
    """Builds the web application.

    Args:
        agent: The agent behind it.
    """

    async def chat(request: web.Request) -> web.StreamResponse:
        try:
            chat_id, text, turn = _parsed(await json_body(request))
        except (KeyError, TypeError, ValueError):
            return web.Response(text="Invalid request body", status=400)
        async with EventStream(request, _HEADERS) as stream:
            # A comment, which a client has to skip.
            await stream.response.write(b": keep-alive\n\n")
            await stream.send({"type": "start", "messageId": f"msg-{turn}"})
            try:
                reply = await agent.answer(chat_id, text, request)
            except BoomError:
                await stream.send({"type": "error", "errorText": "An error occurred."})
                await stream.send("[DONE]")
                return stream.response
            await stream.send({"type": "start-step"})
            for index, message in enumerate(reply.messages):
                part = {"id": f"text-{index}"}
                await stream.send({"type": "text-start", **part})
                for piece in pieces(message):
                    await stream.send({"type": "text-delta", **part, "delta": piece})
                await stream.send({"type": "text-end", **part})
            await stream.send({"type": "finish-step"})
            await stream.send({"type": "finish", "finishReason": "stop"})
            await stream.send("[DONE]")
        return stream.response

    app = web.Application()
    app.router.add_post("/api/chat", chat)
    return app


def _parsed(body: Any) -> tuple[str, str, int]:
    """Reads a request: the chat's id, the newest message's text, and how many messages the user wrote.

    Raises:
        KeyError: Something is missing.
        TypeError: Something is of another type.
        ValueError: The newest message is not the user's, or the trigger is unknown.
    """
    messages = body["messages"]
    for message in messages:
        if not isinstance(message["id"], str) or not isinstance(message["parts"], list):
            raise TypeError
    newest = messages[-1] if messages else {}
    if (
        newest.get("role") != "user"
        or body.get("trigger") not in _TRIGGERS
        or not isinstance(body["id"], str)
    ):
        raise ValueError
    text = "".join(part["text"] for part in newest["parts"] if part["type"] == "text")
    return body["id"], text, sum(message["role"] == "user" for message in messages)
