"""An agent behind the Agent-User Interaction protocol (AG-UI).

    POST / RunAgentInput {"threadId", "runId", "messages", "tools", "context", "state", "forwardedProps"}
    -> server-sent events: RUN_STARTED, TEXT_MESSAGE_START, _CONTENT ..., _END, RUN_FINISHED; or RUN_ERROR

Source: the Python package ag-ui-protocol 1.0.0 (`RunAgentInput` and the events of `ag_ui.core`, the encoding
of `ag_ui.encoder`), read and run on 2026-11-22. There threadId, runId and messages are required. Its servers
are mostly FastAPI, so what is missing is refused in that framework's form, with 422.
"""

from typing import Any

from aiohttp import web

from tests.support.shapes.common import Agent, EventStream, json_body
from tests.support.shapes.echo import BoomError, pieces

_ROLES = {"developer", "system", "assistant", "user", "tool", "activity", "reasoning"}


def make_app(agent: Agent) -> web.Application:
    """Builds the web application.

    Args:
        agent: The agent behind it.
    """

    async def run(request: web.Request) -> web.StreamResponse:
        try:
            body = await json_body(request)
        except ValueError as error:
            detail = _detail("json_invalid", ["body", 0], f"JSON decode error: {error}", {})
            return web.json_response({"detail": [detail]}, status=422)
        faults = _faults(body)
        if faults:
            return web.json_response({"detail": faults}, status=422)
        ids = {"threadId": body["threadId"], "runId": body["runId"]}
        async with EventStream(request) as stream:
            await stream.send({"type": "RUN_STARTED", **ids})
            try:
                reply = await agent.answer(ids["threadId"], _newest(body["messages"]), request)
            except BoomError:
                await stream.send({"type": "RUN_ERROR", "message": "boom", "code": "INTERNAL_ERROR"})
                return stream.response
            for index, message in enumerate(reply.messages):
                message_id = f"{ids['runId']}-{index}"
                await stream.send(
                    {"type": "TEXT_MESSAGE_START", "messageId": message_id, "role": "assistant"}
                )
                for piece in pieces(message):
                    event = {"type": "TEXT_MESSAGE_CONTENT", "messageId": message_id, "delta": piece}
                    await stream.send(event)
                await stream.send({"type": "TEXT_MESSAGE_END", "messageId": message_id})
            await stream.send({"type": "RUN_FINISHED", **ids})
        return stream.response

    app = web.Application()
    app.router.add_post("/", run)
    return app


def _faults(body: Any) -> list[dict[str, Any]]:
    if not isinstance(body, dict):
        return [_detail("model_attributes_type", ["body"], "Input should be a valid dictionary", body)]
    faults = []
    for name, kind, word in (
        ("threadId", str, "string"),
        ("runId", str, "string"),
        ("messages", list, "list"),
    ):
        if name not in body:
            faults.append(_detail("missing", ["body", name], "Field required", body))
        elif not isinstance(body[name], kind):
            message = f"Input should be a valid {word}"
            faults.append(_detail(f"{word}_type", ["body", name], message, body[name]))
    for index, message in enumerate(body.get("messages") or () if not faults else ()):
        where = ["body", "messages", index]
        if not isinstance(message, dict) or message.get("role") not in _ROLES:
            faults.append(_detail("union_tag_invalid", where, "Input tag does not match 'role'", message))
        elif "id" not in message:
            faults.append(_detail("missing", [*where, message["role"], "id"], "Field required", message))
    return faults


def _detail(kind: str, where: list[Any], message: str, value: Any) -> dict[str, Any]:
    return {"type": kind, "loc": where, "msg": message, "input": value}


def _newest(messages: list[dict[str, Any]]) -> str:
    content = next((message["content"] for message in reversed(messages) if message["role"] == "user"), "")
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content)
