"""An agent behind OpenAI's Responses API.

    POST /v1/responses {"model", "input", "previous_response_id"?, "instructions"?, "stream"?, "store"?, ...}
    GET  /v1/responses/{id}

Source: the Python package openai 3.54 (`types/responses`: the parameters, `Response` and the stream's
events), read on 2026-11-22; its client parses what this serves. A conversation is the chain of
`previous_response_id`; without one the turn is the number of the user's messages in the input. A failure in a
stream is `response.failed`.
"""

import itertools
import time
from collections.abc import Iterator
from typing import Any

from aiohttp import web

from tests.support.openai_server.errors import ApiError, bad_request, no_key, server_error
from tests.support.shapes.common import Agent, EventStream, json_body
from tests.support.shapes.echo import BoomError, Reply, pieces

_FIELDS = frozenset(
    {
        "access_programs",
        "background",
        "background_options",
        "context_management",
        "conversation",
        "image",
        "include",
        "input",
        "instructions",
        "max_output_tokens",
        "max_tool_calls",
        "metadata",
        "model",
        "moderation",
        "parallel_tool_calls",
        "previous_response_id",
        "prompt",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "reasoning",
        "safety_identifier",
        "service_tier",
        "store",
        "stream",
        "stream_options",
        "temperature",
        "text",
        "tool_choice",
        "tools",
        "top_logprobs",
        "top_p",
        "truncation",
        "user",
    }
)
_ROLES = {"user", "assistant", "system", "developer"}


def make_app(agent: Agent) -> web.Application:
    """Builds the web application.

    Args:
        agent: The agent behind it.
    """
    shape = _Responses(agent)
    app = web.Application(middlewares=[_errors])
    app.add_routes([web.post("/v1/responses", shape.create), web.get("/v1/responses/{id}", shape.retrieve)])
    return app


class _Responses:
    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._numbers = itertools.count(1)
        self._stored: dict[str, dict[str, Any]] = {}
        # The turns up to a response that is stored, and the first response of its chain.
        self._chains: dict[str, tuple[int, str]] = {}

    async def create(self, request: web.Request) -> web.StreamResponse:
        _authorize(request)
        body = await _checked(request)
        previous = body.get("previous_response_id")
        if previous is not None and previous not in self._stored:
            raise ApiError(
                400,
                f"Previous response with id '{previous}' not found.",
                "previous_response_id",
                "previous_response_not_found",
            )
        key = f"resp_{next(self._numbers):024x}"
        texts = _user_texts(body["input"])
        earlier, first = self._chains[previous] if previous else (0, key)
        turn = earlier + len(texts)
        response = _response(key, body)
        try:
            reply = await self._agent.answer(first, texts[-1], request, turn=turn)
        except BoomError:
            if body.get("stream"):
                return await _stream(request, _failed_events(response))
            raise server_error(500) from None
        finished = _finished(response, reply)
        if body.get("store") is not False:
            self._stored[key] = finished
            self._chains[key] = turn, first
        if body.get("stream"):
            return await _stream(request, _events(response, finished, reply))
        return web.json_response(finished)

    async def retrieve(self, request: web.Request) -> web.Response:
        _authorize(request)
        key = request.match_info["id"]
        if key not in self._stored:
            raise ApiError(404, f"Response with id '{key}' not found.")
        return web.json_response(self._stored[key])


def _authorize(request: web.Request) -> None:
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        raise no_key()


async def _checked(request: web.Request) -> dict[str, Any]:
    try:
        body = await json_body(request)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise bad_request("We could not parse the JSON body of your request.")
    for name in body:
        if name not in _FIELDS:
            raise bad_request(f"Unknown parameter: '{name}'.", name, "unknown_parameter")
    for name in ("model", "input"):
        if name not in body:
            raise bad_request(f"Missing required parameter: '{name}'.", name, "missing_required_parameter")
    _check_input(body["input"])
    return body


def _check_input(items: Any) -> None:
    if isinstance(items, str):
        return
    if not isinstance(items, list) or not items:
        raise bad_request("Invalid type for 'input': expected a string or an array.", "input", "invalid_type")
    for index, item in enumerate(items):
        role = item.get("role") if isinstance(item, dict) else None
        if role not in _ROLES:
            where = f"input[{index}].role"
            raise bad_request(f"Invalid value: '{role}'.", where, "invalid_value")


def _user_texts(items: Any) -> list[str]:
    if isinstance(items, str):
        return [items]
    texts = []
    for item in items:
        content = item.get("content", "")
        if item["role"] == "user":
            whole = isinstance(content, str)
            texts.append(content if whole else "".join(part.get("text", "") for part in content))
    return texts or [""]


def _response(key: str, body: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": key,
        "object": "response",
        "created_at": int(time.time()),
        "status": "in_progress",
        "error": None,
        "incomplete_details": None,
        "instructions": body.get("instructions"),
        "max_output_tokens": body.get("max_output_tokens"),
        "metadata": body.get("metadata") or {},
        "model": body["model"],
        "output": [],
        "parallel_tool_calls": True,
        "previous_response_id": body.get("previous_response_id"),
        "reasoning": {"effort": None, "summary": None},
        "store": body.get("store") is not False,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": None,
        "user": None,
    }


def _message(key: str, index: int, text: str | None) -> dict[str, Any]:
    content = [] if text is None else [_part(text)]
    status = "in_progress" if text is None else "completed"
    return {
        "id": f"msg_{key[5:]}{index}",
        "type": "message",
        "status": status,
        "role": "assistant",
        "content": content,
    }


def _part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _finished(response: dict[str, Any], reply: Reply) -> dict[str, Any]:
    output = [_message(response["id"], index, text) for index, text in enumerate(reply.messages)]
    count = len(reply.text) // 4 + 1
    usage = {
        "input_tokens": 1,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": count,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": count + 1,
    }
    return {**response, "status": "completed", "output": output, "usage": usage}


def _events(
    response: dict[str, Any], finished: dict[str, Any], reply: Reply
) -> Iterator[tuple[str, dict[str, Any]]]:
    yield "response.created", {"response": response}
    yield "response.in_progress", {"response": response}
    for index, text in enumerate(reply.messages):
        item = finished["output"][index]
        empty = _message(response["id"], index, None)
        where = {"item_id": item["id"], "output_index": index, "content_index": 0}
        yield "response.output_item.added", {"output_index": index, "item": empty}
        yield "response.content_part.added", {**where, "part": _part("")}
        for piece in pieces(text):
            yield "response.output_text.delta", {**where, "delta": piece, "logprobs": []}
        yield "response.output_text.done", {**where, "text": text, "logprobs": []}
        yield "response.content_part.done", {**where, "part": _part(text)}
        yield "response.output_item.done", {"output_index": index, "item": item}
    yield "response.completed", {"response": finished}


def _failed_events(response: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    yield "response.created", {"response": response}
    error = {"code": "server_error", "message": "The server had an error while processing your request."}
    yield "response.failed", {"response": {**response, "status": "failed", "error": error}}


async def _stream(request: web.Request, events: Iterator[tuple[str, dict[str, Any]]]) -> web.StreamResponse:
    async with EventStream(request) as stream:
        for number, (name, data) in enumerate(events):
            await stream.send({"type": name, "sequence_number": number, **data}, name)
    return stream.response


@web.middleware
async def _errors(request: web.Request, handler: Any) -> web.StreamResponse:
    try:
        response: web.StreamResponse = await handler(request)
    except ApiError as error:
        return web.json_response(error.body(), status=error.status, headers=error.headers)
    return response
