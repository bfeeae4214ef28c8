"""An agent behind OpenAI's Realtime API, in text.

    WebSocket /v1/realtime?model=..., with the header `Authorization: Bearer ...`

A turn is `conversation.item.create` and `response.create`; the text comes as `response.output_text.delta` and
ends with `response.done`. Unless the session or the response has the `output_modalities` `["text"]` an agent
speaks: here its transcript alone, `response.output_audio_transcript.delta`.

Sources, read on 2026-11-22: the Python package openai 3.54 (`types/realtime`), whose client talks to this;
the order of a response's events as issues 457 and 545 of huggingface/speech-to-speech cite it from OpenAI's
guide.
"""

import asyncio
import contextlib
import itertools
import json
from collections.abc import Iterator
from typing import Any

import aiohttp
from aiohttp import web

from tests.support.openai_server.errors import no_key
from tests.support.shapes.common import Agent
from tests.support.shapes.echo import BoomError, Reply, pieces

_MODALITIES = (["text"], ["audio"])


def make_app(agent: Agent) -> web.Application:
    """Builds the web application.

    Args:
        agent: The agent behind it.
    """
    sessions = itertools.count(1)

    async def realtime(request: web.Request) -> web.StreamResponse:
        scheme, _, key = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not key.strip():
            return web.json_response(no_key().body(), status=401)
        socket = web.WebSocketResponse(protocols=("realtime",))
        await socket.prepare(request)
        model = request.query.get("model", "")
        await _Session(agent, request, socket, f"sess_{next(sessions)}", model).run()
        return socket

    app = web.Application()
    app.router.add_get("/v1/realtime", realtime)
    return app


class _ClientError(Exception):
    def __init__(self, code: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.param = param


class _Session:
    def __init__(
        self, agent: Agent, request: web.Request, socket: web.WebSocketResponse, key: str, model: str
    ) -> None:
        self._agent = agent
        self._request = request
        self._socket = socket
        self._key = key
        self._numbers = itertools.count(1)
        self._session: dict[str, Any] = {
            "type": "realtime",
            "object": "realtime.session",
            "id": key,
            "model": model,
            "output_modalities": ["audio"],
            "instructions": "",
            "tools": [],
            "tool_choice": "auto",
            "max_output_tokens": "inf",
        }
        self._last_item: str | None = None
        self._text = ""
        self._response: asyncio.Task[None] | None = None

    async def run(self) -> None:
        await self._send("session.created", session=self._session)
        async for frame in self._socket:
            if frame.type is not aiohttp.WSMsgType.TEXT:
                continue
            event: Any = None
            try:
                event = _parsed(frame.data)
                await self._handle(event)
            except _ClientError as error:
                body = {
                    "type": "invalid_request_error",
                    "code": error.code,
                    "message": error.message,
                    "param": error.param,
                    "event_id": event.get("event_id") if isinstance(event, dict) else None,
                }
                await self._send("error", error=body)
        if self._response is not None:
            self._response.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._response

    async def _handle(self, event: dict[str, Any]) -> None:
        match event["type"]:
            case "session.update":
                changes = event.get("session")
                if not isinstance(changes, dict) or changes.get("type") != "realtime":
                    raise _missing("session.type")
                _check_modalities(changes, "session")
                self._session.update(changes)
                await self._send("session.updated", session=self._session)
            case "conversation.item.create":
                await self._add(event.get("item"))
            case "response.create":
                if self._response is not None and not self._response.done():
                    sentence = "Conversation already has an active response in progress."
                    raise _ClientError("conversation_already_has_active_response", sentence)
                wanted = event.get("response") or {}
                _check_modalities(wanted, "response")
                modalities = wanted.get("output_modalities") or self._session["output_modalities"]
                self._response = asyncio.create_task(self._respond(modalities))
            case "response.cancel":
                if self._response is None or self._response.done():
                    raise _ClientError(
                        "response_cancel_not_active", "Cancellation failed: no active response found"
                    )
                self._response.cancel()
            case other:
                sentence = f"Invalid value: '{other}'."
                raise _ClientError("invalid_value", sentence, "type")

    async def _add(self, item: Any) -> None:
        if not isinstance(item, dict):
            raise _missing("item")
        if item.get("type") != "message":
            raise _missing("item.type")
        kinds = {"user": {"input_text"}, "system": {"input_text"}, "assistant": {"output_text"}}
        role = item.get("role")
        if role not in kinds:
            raise _ClientError("invalid_value", f"Invalid value: '{role}'.", "item.role")
        content = item.get("content")
        if not isinstance(content, list):
            raise _missing("item.content")
        for index, part in enumerate(content):
            if part.get("type") not in kinds[role]:
                where = f"item.content[{index}].type"
                raise _ClientError("invalid_value", f"Invalid value: '{part.get('type')}'.", where)
        if role == "user":
            self._text = "".join(part["text"] for part in content)
        key = item.get("id") or f"item_{next(self._numbers)}"
        whole = {**item, "id": key, "object": "realtime.item", "status": "completed"}
        for name in ("conversation.item.added", "conversation.item.done"):
            await self._send(name, previous_item_id=self._last_item, item=whole)
        self._last_item = key

    async def _respond(self, modalities: list[str]) -> None:
        response: dict[str, Any] = {
            "object": "realtime.response",
            "id": f"resp_{next(self._numbers)}",
            "status": "in_progress",
            "status_details": None,
            "output": [],
            "conversation_id": f"conv_{self._key}",
            "output_modalities": modalities,
            "usage": None,
        }
        await self._send("response.created", response=response)
        try:
            reply = await self._agent.answer(self._key, self._text, self._request)
        except BoomError:
            error = {"type": "server_error", "code": "server_error", "message": "The server had an error."}
            details = {"type": "failed", "error": error}
            await self._send(
                "response.done", response={**response, "status": "failed", "status_details": details}
            )
            return
        except asyncio.CancelledError:
            details = {"type": "cancelled", "reason": "client_cancelled"}
            await self._send(
                "response.done", response={**response, "status": "cancelled", "status_details": details}
            )
            return
        for name, fields in self._response_events(response, reply, modalities == ["text"]):
            await self._send(name, **fields)

    def _response_events(
        self, response: dict[str, Any], reply: Reply, in_text: bool
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        kind, field = ("output_text", "text") if in_text else ("output_audio_transcript", "transcript")
        output = []
        for index, text in enumerate(reply.messages):
            empty = {
                "id": f"item_{next(self._numbers)}",
                "object": "realtime.item",
                "type": "message",
                "status": "in_progress",
                "role": "assistant",
                "content": [],
            }
            content = [{"type": "output_text" if in_text else "output_audio", field: text}]
            item = {**empty, "status": "completed", "content": content}
            output.append(item)
            added = {"response_id": response["id"], "output_index": index}
            where = {**added, "item_id": item["id"], "content_index": 0}
            part = {"type": "text" if in_text else "audio", field: ""}
            yield "response.output_item.added", {**added, "item": empty}
            yield "conversation.item.added", {"previous_item_id": self._last_item, "item": empty}
            yield "response.content_part.added", {**where, "part": part}
            for piece in pieces(text):
                yield f"response.{kind}.delta", {**where, "delta": piece}
            yield f"response.{kind}.done", {**where, field: text}
            yield "response.content_part.done", {**where, "part": {**part, field: text}}
            yield "response.output_item.done", {**added, "item": item}
            yield "conversation.item.done", {"previous_item_id": self._last_item, "item": item}
            self._last_item = str(item["id"])
        count = len(reply.text) // 4 + 1
        usage = {"total_tokens": count + 1, "input_tokens": 1, "output_tokens": count}
        done = {**response, "status": "completed", "output": output, "usage": usage}
        yield "response.done", {"response": done}

    async def _send(self, name: str, **fields: Any) -> None:
        event = {"type": name, "event_id": f"event_{next(self._numbers)}", **fields}
        # The client may be gone while its response is still being made.
        with contextlib.suppress(ConnectionResetError):
            await self._socket.send_str(json.dumps(event))


def _parsed(text: str) -> dict[str, Any]:
    try:
        event = json.loads(text)
    except ValueError:
        raise _ClientError("invalid_json", "The event is not valid JSON.") from None
    if not isinstance(event, dict) or not isinstance(event.get("type"), str):
        raise _missing("type")
    return event


def _check_modalities(value: dict[str, Any], where: str) -> None:
    if "output_modalities" in value and value["output_modalities"] not in _MODALITIES:
        sentence = (
            f"Invalid modalities: {value['output_modalities']}. "
            "Supported combinations are: ['text'] and ['audio']."
        )
        raise _ClientError("invalid_value", sentence, f"{where}.output_modalities")


def _missing(where: str) -> _ClientError:
    return _ClientError("missing_required_parameter", f"Missing required parameter: '{where}'.", where)
