"""An agent behind the LangGraph server.

    POST /threads {"thread_id"?, "if_exists"?}
    GET  /threads/{id}/state
    POST /threads/{id}/runs/wait and /runs/wait {"assistant_id", "input": {"messages"}, "if_not_exists"?}
    POST /threads/{id}/runs/stream and /runs/stream, with
         "stream_mode": one or a list of values, updates, messages, messages-tuple

Source: langgraph-api 0.16.7, whose own server was run with a graph like this one on 2026-11-22; what it
sent is what this sends. `wait` answers with the whole state: every message so far. A failure is 200 and
`{"__error__": ...}`, or the event `error`. Thread ids are UUIDs. A run without a thread remembers nothing.
"""

import datetime as dt
import uuid
from collections.abc import Iterator
from typing import Any

from aiohttp import web

from tests.support.shapes.common import Agent, EventStream, json_body
from tests.support.shapes.echo import BoomError

_GRAPH = "agent"
_ASSISTANT = "fe096781-5601-53d2-b2f6-0d3403f7e9ca"
_MODES = {"values", "updates", "messages", "messages-tuple"}
_ROLES = {"user": "human", "human": "human", "assistant": "ai", "ai": "ai", "system": "system"}


def make_app(agent: Agent) -> web.Application:
    """Builds the web application.

    Args:
        agent: The agent behind it.
    """
    shape = _LangGraph(agent)
    app = web.Application(middlewares=[_details])
    app.add_routes(
        [
            web.get("/ok", shape.ok),
            web.post("/threads", shape.create_thread),
            web.get("/threads/{thread}/state", shape.state),
            web.post("/threads/{thread}/runs/wait", shape.wait),
            web.post("/threads/{thread}/runs/stream", shape.stream),
            web.post("/runs/wait", shape.wait),
            web.post("/runs/stream", shape.stream),
        ]
    )
    return app


class _LangGraph:
    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._threads: dict[str, list[dict[str, Any]]] = {}

    async def ok(self, _: web.Request) -> web.Response:
        return web.json_response({"ok": True, "services": {}})

    async def create_thread(self, request: web.Request) -> web.Response:
        body = await _body(request)
        key = body.get("thread_id") or str(uuid.uuid4())
        if not _is_uuid(key):
            raise _Detail(422, "Invalid thread ID: must be a UUID")
        if key in self._threads and body.get("if_exists") != "do_nothing":
            raise _Detail(409, f"Thread with ID {key} already exists")
        self._threads.setdefault(key, [])
        now = dt.datetime.now(dt.UTC).isoformat()
        return web.json_response(
            {
                "thread_id": key,
                "created_at": now,
                "updated_at": now,
                "state_updated_at": now,
                "metadata": body.get("metadata") or {},
                "status": "idle",
                "config": {},
                "values": None,
            }
        )

    async def state(self, request: web.Request) -> web.Response:
        messages = self._threads.get(request.match_info["thread"])
        if messages is None:
            raise _Detail(404, "Thread or assistant not found.")
        return web.json_response({"values": {"messages": messages}, "next": [], "tasks": []})

    async def wait(self, request: web.Request) -> web.StreamResponse:
        body = await _run_body(request)
        thread, messages = self._messages(request, body)
        headers = _locations(thread, "join")
        try:
            await self._run(request, thread, messages, body)
        except BoomError:
            error = {"error": "RuntimeError", "message": "boom"}
            return web.json_response({"__error__": error}, headers=headers)
        return web.json_response({"messages": messages}, headers=headers)

    async def stream(self, request: web.Request) -> web.StreamResponse:
        body = await _run_body(request)
        given = body.get("stream_mode") or ["values"]
        modes = [given] if isinstance(given, str) else list(given)
        if not set(modes) <= _MODES:
            raise _Detail(422, f"{given!r} is not valid under any of the given schemas")
        thread, messages = self._messages(request, body)
        headers = {**_locations(thread, "stream"), "cache-control": "no-store", "x-accel-buffering": "no"}
        async with EventStream(request, headers) as stream:
            await stream.send(
                {"run_id": headers["content-location"].rpartition("/")[2], "attempt": 1}, "metadata"
            )
            before = [*messages, *_given(body)]
            if "values" in modes:
                await stream.send({"messages": before}, "values")
            try:
                new = await self._run(request, thread, messages, body)
            except BoomError:
                await stream.send({"error": "RuntimeError", "message": "boom"}, "error")
                return stream.response
            for name, data in _events(modes, messages, new, thread):
                await stream.send(data, name)
        return stream.response

    def _messages(self, request: web.Request, body: dict[str, Any]) -> tuple[str, list[dict[str, Any]]]:
        thread = request.match_info.get("thread")
        if thread is None:
            return str(uuid.uuid4()), []
        if not _is_uuid(thread):
            raise _Detail(400, "badly formed hexadecimal UUID string")
        if thread not in self._threads:
            if body.get("if_not_exists") != "create":
                raise _Detail(404, "Thread or assistant not found.")
            self._threads[thread] = []
        return thread, self._threads[thread]

    async def _run(
        self, request: web.Request, thread: str, messages: list[dict[str, Any]], body: dict[str, Any]
    ) -> list[dict[str, Any]]:
        """Runs the graph: what was given goes into the state, and what the agent says; that is returned."""
        given = _given(body)
        messages += given
        text = given[-1]["content"] if given else ""
        reply = await self._agent.answer(thread, text, request)
        new = [_message("ai", text) for text in reply.messages]
        messages += new
        return new


class _Detail(Exception):  # noqa: N818 - it is named after the key of its body
    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


@web.middleware
async def _details(request: web.Request, handler: Any) -> web.StreamResponse:
    try:
        response: web.StreamResponse = await handler(request)
    except _Detail as refused:
        return web.json_response({"detail": refused.detail}, status=refused.status)
    return response


async def _body(request: web.Request) -> dict[str, Any]:
    try:
        body = await json_body(request)
    except ValueError:
        raise _Detail(422, "Invalid JSON in request body") from None
    if not isinstance(body, dict):
        raise _Detail(422, f"{body!r} is not of type 'object'")
    return body


async def _run_body(request: web.Request) -> dict[str, Any]:
    body = await _body(request)
    if "assistant_id" not in body:
        schema = "RunCreateStateful" if "thread" in request.match_info else "RunCreateStateless"
        sentence = (
            f'"assistant_id" is a required property\n\nFailed validating "required" in schema["{schema}"]'
        )
        raise _Detail(422, sentence)
    if body["assistant_id"] not in {_GRAPH, _ASSISTANT}:
        sentence = (
            f"Invalid assistant: '{body['assistant_id']}'. Must be either:\n- A valid assistant UUID, or\n"
            f"- One of the registered graphs: {_GRAPH}"
        )
        raise _Detail(422, sentence)
    return body


def _given(body: dict[str, Any]) -> list[dict[str, Any]]:
    """The input's messages, each kept under the same id whenever it is asked for."""
    given = (body.get("input") or {}).get("messages") or []
    for message in given:
        message.setdefault("id", str(uuid.uuid4()))
    return [
        _message(
            _ROLES.get(message.get("role") or message.get("type"), "human"), message["content"], message["id"]
        )
        for message in given
    ]


def _message(kind: str, text: str, key: str | None = None) -> dict[str, Any]:
    message: dict[str, Any] = {
        "content": text,
        "additional_kwargs": {},
        "response_metadata": {},
        "type": kind,
        "name": None,
        "id": key or str(uuid.uuid4()),
    }
    if kind != "ai":
        return message
    return {**message, "tool_calls": [], "invalid_tool_calls": [], "usage_metadata": None}


def _events(
    modes: list[str], messages: list[dict[str, Any]], new: list[dict[str, Any]], thread: str
) -> Iterator[tuple[str, Any]]:
    metadata = {"graph_id": _GRAPH, "assistant_id": _ASSISTANT, "thread_id": thread, "langgraph_node": _GRAPH}
    for mode in modes:
        match mode:
            case "values":
                yield "values", {"messages": messages}
            case "updates":
                yield "updates", {_GRAPH: {"messages": new}}
            case "messages":
                for message in new:
                    yield "messages/metadata", {message["id"]: {"metadata": metadata}}
                    yield "messages/complete", [message]
            case "messages-tuple":
                for message in new:
                    yield "messages", [message, metadata]


def _locations(thread: str, last: str) -> dict[str, str]:
    run = f"/threads/{thread}/runs/{uuid.uuid4()}"
    return {"location": f"{run}/{last}", "content-location": run}


def _is_uuid(value: Any) -> bool:
    try:
        uuid.UUID(value)
    except (AttributeError, TypeError, ValueError):
        return False
    return True
