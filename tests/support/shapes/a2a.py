"""An agent behind the Agent2Agent protocol (A2A), 1.0 and 0.3 on one address.

    GET  /.well-known/agent-card.json
    POST /                JSON-RPC 2.0. 1.0: SendMessage, SendStreamingMessage, GetTask.
                          0.3: message/send, message/stream, tasks/get.
    POST /message:send    1.0 over plain HTTP, with /message:stream and GET /tasks/{id}

Source: the Python package a2a-sdk 1.3.0, whose own server was run with an agent like this one on 2026-11-22;
what it sent is what this sends, key for key, and its client talks to this. The header `A2A-Version` is `1.0`
for the methods of 1.0; without it a request is of 0.3, and they refuse it.

The agent answers with a message; with a task to `task ...` (completed, its answer an artifact in two pieces),
to `many` (an artifact for each message), to `slow` (working until it is done, which `returnImmediately`, or
0.3's `blocking: false`, does not wait for) and to `input` (a question; the next message names the task and
completes it).
"""

import asyncio
import datetime as dt
import json
import uuid
from collections.abc import AsyncIterator, Mapping
from typing import Any

from aiohttp import web

from tests.support.shapes.a2a_wire import (
    V03,
    V10,
    A2AError,
    ArtifactEvent,
    Event,
    MessageEvent,
    StatusEvent,
    Task,
    TaskEvent,
    Wire,
)
from tests.support.shapes.common import Agent, EventStream
from tests.support.shapes.echo import BoomError

_METHODS: dict[str, tuple[Wire, str]] = {
    "SendMessage": (V10, "send"),
    "SendStreamingMessage": (V10, "stream"),
    "GetTask": (V10, "get"),
    "message/send": (V03, "send"),
    "message/stream": (V03, "stream"),
    "tasks/get": (V03, "get"),
}
_STREAM_HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}
_REST_STATUS = {
    -32001: (404, "NOT_FOUND"),
    -32009: (400, "FAILED_PRECONDITION"),
    -32603: (500, "INTERNAL"),
}


def make_app(agent: Agent) -> web.Application:
    """Builds the web application.

    Args:
        agent: The agent behind it.
    """
    shape = _A2A(agent)
    app = web.Application()
    app.add_routes(
        [
            web.get("/.well-known/agent-card.json", shape.card),
            web.post("/", shape.rpc),
            web.post("/message:send", shape.rest_send),
            web.post("/message:stream", shape.rest_stream),
            web.get("/tasks/{id}", shape.rest_task),
        ]
    )
    return app


class _A2A:
    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._tasks: dict[str, Task] = {}
        self._running: set[asyncio.Task[None]] = set()

    async def card(self, _: web.Request) -> web.Response:
        url = f"{self._agent.settings.address}/"
        interfaces = [
            {"url": url, "protocolBinding": "JSONRPC", "protocolVersion": "1.0"},
            {"url": url, "protocolBinding": "HTTP+JSON", "protocolVersion": "1.0"},
            {"url": url, "protocolBinding": "JSONRPC", "protocolVersion": "0.3"},
        ]
        skill = {"id": "echo", "name": "Echo", "description": "Says what you said.", "tags": ["test"]}
        return web.json_response(
            {
                "name": "Echo",
                "description": "An agent that says what you said.",
                "supportedInterfaces": interfaces,
                "version": "1.0.0",
                "capabilities": {"streaming": True},
                "defaultInputModes": ["text/plain"],
                "defaultOutputModes": ["text/plain"],
                "skills": [skill],
                # What a client of 0.3 looks for.
                "preferredTransport": "JSONRPC",
                "protocolVersion": "0.3",
                "url": url,
            }
        )

    async def rpc(self, request: web.Request) -> web.StreamResponse:
        key: Any = None
        wire: Wire = V10
        try:
            body = _rpc_body(await request.read())
            key = body.get("id")
            wire, kind = _method(body["method"])
            _check_version(request, wire)
            params = body.get("params") or {}
            if kind == "get":
                return web.json_response(_rpc(key, result=wire.task(self._task(params))))
            events = self._events(_message(params), request)
            first = await anext(events)
            if kind == "send":
                last = await self._settled(events, first, params)
                return web.json_response(_rpc(key, result=wire.result(last)))
            async with EventStream(request, _STREAM_HEADERS) as stream:
                await stream.send(_rpc(key, result=wire.result(first)))
                async for event in events:
                    await stream.send(_rpc(key, result=wire.result(event)))
            return stream.response
        except A2AError as error:
            return web.json_response(_rpc(key, error=wire.error(error)))

    async def rest_send(self, request: web.Request) -> web.StreamResponse:
        try:
            params = _rest_body(await request.read())
            _check_version(request, V10)
            events = self._events(_message(params), request)
            last = await self._settled(events, await anext(events), params)
        except A2AError as error:
            return _rest_error(error)
        return web.json_response(V10.result(last), content_type="application/a2a+json")

    async def rest_stream(self, request: web.Request) -> web.StreamResponse:
        try:
            params = _rest_body(await request.read())
            _check_version(request, V10)
            events = self._events(_message(params), request)
            first = await anext(events)
        except A2AError as error:
            return _rest_error(error)
        async with EventStream(request, _STREAM_HEADERS) as stream:
            await stream.send(V10.result(first))
            async for event in events:
                await stream.send(V10.result(event))
        return stream.response

    async def rest_task(self, request: web.Request) -> web.StreamResponse:
        try:
            task = self._task({"id": request.match_info["id"]})
        except A2AError as error:
            return _rest_error(error)
        return web.json_response(V10.task(task), content_type="application/a2a+json")

    def _task(self, params: Mapping[str, Any]) -> Task:
        key = params.get("id")
        if not key:
            violations = [("id", "Field is required.")]
            raise A2AError(-32602, "Validation failed", "INVALID_PARAMS", violations)
        if key not in self._tasks:
            raise A2AError(-32001, "Task not found", "TASK_NOT_FOUND")
        return self._tasks[key]

    async def _settled(self, events: AsyncIterator[Event], first: Event, params: Mapping[str, Any]) -> Event:
        """What a call that does not stream answers: the message, or the task when it is done."""
        wanted = params.get("configuration") or {}
        if not isinstance(first, TaskEvent):
            return first
        if wanted.get("returnImmediately") or wanted.get("blocking") is False:
            rest = asyncio.create_task(_drain(events))
            self._running.add(rest)
            rest.add_done_callback(self._running.discard)
        else:
            await _drain(events)
        return first

    async def _events(self, message: Mapping[str, Any], request: web.Request) -> AsyncIterator[Event]:
        """Answers a message, event by event.

        Raises:
            A2AError: The message names a task that is not there or not its context's, or the agent failed.
        """
        text = "".join(part.get("text", "") for part in message["parts"])
        given = message.get("taskId")
        if given is not None and given not in self._tasks:
            raise A2AError(-32001, f"Task {given} not found", "TASK_NOT_FOUND")
        asked = self._tasks.get(given) if given else None
        context = message.get("contextId") or (asked.context_id if asked else str(uuid.uuid4()))
        if asked and asked.context_id != context:
            sentence = f"Context {context} does not match context {asked.context_id} of task {given}"
            raise A2AError(-32602, sentence, "INVALID_PARAMS")
        command = text.strip().lower()
        if not asked and command not in {"many", "slow", "input"} and not command.startswith("task"):
            yield MessageEvent(context, (await self._answer(context, text, request)))
            return
        task = asked or Task(str(uuid.uuid4()), context, [])
        self._tasks[task.id] = task
        task.history.append((message["messageId"], text))
        yield TaskEvent(task)
        _move(task, "working")
        yield StatusEvent(task)
        texts = await self._answer(context, text, request)
        if command == "input":
            _move(task, "input-required", "Which one?")
            yield StatusEvent(task)
            return
        async for event in _artifacts(task, texts):
            yield event
        _move(task, "completed")
        yield StatusEvent(task)

    async def _answer(self, context: str, text: str, request: web.Request) -> tuple[str, ...]:
        try:
            return (await self._agent.answer(context, text, request)).messages
        except BoomError:
            raise A2AError(-32603, "boom") from None


async def _artifacts(task: Task, texts: tuple[str, ...]) -> AsyncIterator[Event]:
    """Each text as an artifact of its own, in two pieces."""
    for number, text in enumerate(texts, start=len(task.artifacts) + 1):
        key = f"artifact-{number}"
        head, space, tail = text.rpartition(" ")
        task.artifacts[key] = [head + space]
        yield ArtifactEvent(task, key, head + space, append=False, last=False)
        task.artifacts[key].append(tail)
        yield ArtifactEvent(task, key, tail, append=True, last=True)


async def _drain(events: AsyncIterator[Event]) -> None:
    async for _ in events:
        pass


def _move(task: Task, state: str, says: str | None = None) -> None:
    task.state, task.says = state, says
    task.timestamp = dt.datetime.now(dt.UTC).isoformat().replace("+00:00", "Z")


def _check_version(request: web.Request, wire: Wire) -> None:
    version = request.headers.get("A2A-Version", "0.3")
    if version != wire.version:
        sentence = (
            f"A2A version '{version}' is not supported by this handler. Expected version '{wire.version}'."
        )
        raise A2AError(-32009, sentence, "VERSION_NOT_SUPPORTED")


def _method(name: str) -> tuple[Wire, str]:
    if name not in _METHODS:
        raise A2AError(-32601, "Method not found")
    return _METHODS[name]


def _rpc_body(raw: bytes) -> dict[str, Any]:
    try:
        body = json.loads(raw)
    except ValueError as error:
        raise A2AError(-32700, str(error)) from error
    if not isinstance(body, dict) or body.get("jsonrpc") != "2.0" or not isinstance(body.get("method"), str):
        raise A2AError(-32600, "Invalid Request", "INVALID_REQUEST")
    return body


def _rest_body(raw: bytes) -> dict[str, Any]:
    try:
        body = json.loads(raw)
    except ValueError as error:
        raise A2AError(-32600, f"Failed to load JSON: {error}.", "INVALID_REQUEST") from error
    return body if isinstance(body, dict) else {}


def _message(params: Mapping[str, Any]) -> Mapping[str, Any]:
    message = params.get("message")
    violations = []
    if not isinstance(message, dict):
        violations.append(("message", "Field is required."))
        message = {}
    else:
        if not message.get("messageId"):
            violations.append(("message.message_id", "Field is required."))
        if message.get("role") not in {"ROLE_USER", "ROLE_AGENT", "user", "agent"}:
            violations.append(("message.role", "Field is required."))
        if not message.get("parts"):
            violations.append(("message.parts", "Field must contain at least one element."))
    if violations:
        raise A2AError(-32602, "Validation failed", "INVALID_PARAMS", violations)
    return message


def _rpc(key: Any, **outcome: Any) -> dict[str, Any]:
    return {**outcome, "id": key, "jsonrpc": "2.0"}


def _rest_error(error: A2AError) -> web.Response:
    status, name = _REST_STATUS.get(error.code, (400, "INVALID_ARGUMENT"))
    message = "unknown exception" if error.code == -32603 else error.message
    body: dict[str, Any] = {"code": status, "status": name, "message": message}
    if error.details():
        body["details"] = error.details()
    return web.json_response({"error": body}, status=status)
