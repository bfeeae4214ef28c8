"""The HTTP side: authorization, answers, streams, faults and the control endpoints."""

import asyncio
import collections
import dataclasses
import itertools
import json
import socket
import struct
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TextIO

from aiohttp import web

from tests.support.openai_server import tokens
from tests.support.openai_server.brains import Ask, plain_answer, structured_answer, text_of
from tests.support.openai_server.errors import (
    ApiError,
    bad_request,
    no_key,
    out_of_quota,
    rate_limited,
    server_error,
    unknown_model,
    wrong_key,
)
from tests.support.openai_server.faults import Fault, Faults, parse_faults
from tests.support.openai_server.requests import MODELS, ChatRequest, RequestChecker
from tests.support.shapes.echo import BoomError, pieces

_HEADERS = {
    "openai-organization": "org-mimic",
    "openai-version": "2020-10-01",
    "x-ratelimit-limit-requests": "10000",
    "x-ratelimit-limit-tokens": "10000000",
    "x-ratelimit-remaining-requests": "9999",
    "x-ratelimit-remaining-tokens": "9999000",
    "x-ratelimit-reset-requests": "6ms",
    "x-ratelimit-reset-tokens": "0s",
}
_MAX_BODY_BYTES = 32 * 1024 * 1024
_REMEMBERED = 1000


@dataclasses.dataclass(frozen=True)
class Settings:
    """How the server is run."""

    key: str | None = None
    """The one API key that is good; None means any."""
    models: Sequence[str] = tuple(MODELS)
    turns: int = 10
    """A persona stops with this turn; 0 means never."""
    seed: int = 0
    latency_seconds: float = 0
    """How long each answer takes."""
    context_window: int = 128_000
    """In tokens, prompt and answer together."""
    log: TextIO | None = None
    """Where a line of JSON is written for each request."""


class Server:
    """The server behind the address."""

    def __init__(self, settings: Settings, faults: Faults) -> None:
        self._settings = settings
        self._faults = faults
        self._checker = RequestChecker(settings.models)
        self._prefixes = tokens.PrefixCache()
        self._log: collections.deque[dict[str, Any]] = collections.deque(maxlen=_REMEMBERED)
        self._numbers = itertools.count(1)
        self._total = 0
        self._open = 0
        self._most_open = 0

    def app(self) -> web.Application:
        """Builds the web application."""
        app = web.Application(client_max_size=_MAX_BODY_BYTES)
        app.add_routes(
            [
                web.post("/v1/chat/completions", self._chat),
                web.get("/v1/models", self._models),
                web.get("/v1/models/{model}", self._model),
                web.post("/control/faults", self._add_faults),
                web.get("/control/faults", self._show_faults),
                web.delete("/control/faults", self._clear_faults),
                web.get("/control/log", self._show_log),
                web.delete("/control/log", self._clear_log),
                web.route("*", "/v1/{tail:.*}", self._unknown),
            ]
        )
        return app

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        self._total += 1
        self._open += 1
        self._most_open = max(self._most_open, self._open)
        entry: dict[str, Any] = {"number": next(self._numbers), "time": time.time()}
        headers = {**_HEADERS, "x-request-id": f"req_{entry['number']:08d}"}
        start = time.perf_counter()
        try:
            return await self._answer(request, entry, headers)
        except ApiError as error:
            entry.update(status=error.status, error=error.body()["error"])
            return web.json_response(error.body(), status=error.status, headers={**headers, **error.headers})
        finally:
            self._open -= 1
            entry["seconds"] = round(time.perf_counter() - start, 6)
            self._log.append(entry)
            if self._settings.log is not None:
                line = {name: value for name, value in entry.items() if name != "body"}
                self._settings.log.write(json.dumps(line) + "\n")
                self._settings.log.flush()

    async def _answer(
        self, request: web.Request, entry: dict[str, Any], headers: dict[str, str]
    ) -> web.StreamResponse:
        self._authorize(request)
        entry["body"] = body = await request.read()
        try:
            value = json.loads(body)
        except ValueError as error:
            raise bad_request("We could not parse the JSON body of your request.") from error
        asked = self._checker.check(value)
        entry.update(schema=asked.schema_name, model=asked.model, fault=None)
        # A fault comes before the look at the prompt cache: what was never processed leaves nothing there.
        fault = self._faults.next(asked.schema_name)
        if fault is not None:
            entry["fault"] = fault.kind
            await self._fail_before(fault, asked)
        usage = self._prompt_usage(asked)
        if self._settings.latency_seconds:
            await asyncio.sleep(self._settings.latency_seconds)
        choices = [await self._choice(asked, fault, index) for index in range(asked.choices)]
        usage["completion_tokens"] = sum(
            tokens.count(choice["message"]["content"] or choice["message"]["refusal"] or "")
            for choice in choices
        )
        usage["total_tokens"] = usage["prompt_tokens"] + usage["completion_tokens"]
        completion = {
            "id": f"chatcmpl-{entry['number']:08d}",
            "object": "chat.completion",
            "created": int(entry["time"]),
            "model": asked.model,
            "choices": choices,
            "usage": usage,
            "service_tier": "default",
            "system_fingerprint": "fp_mimic",
        }
        entry.update(
            status=200,
            finish_reason=choices[0]["finish_reason"],
            prompt_tokens=usage["prompt_tokens"],
            cached_tokens=usage["prompt_tokens_details"]["cached_tokens"],
            completion_tokens=usage["completion_tokens"],
        )
        reset = fault is not None and fault.kind == "reset"
        if asked.stream:
            return await _stream(request, completion, headers, include_usage=asked.include_usage, reset=reset)
        text = json.dumps(completion, separators=(",", ":"))
        if reset:
            return await _break_off(request, text.encode(), headers)
        return web.Response(text=text, content_type="application/json", headers=headers)

    def _authorize(self, request: web.Request) -> None:
        scheme, _, key = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not key.strip():
            raise no_key()
        if self._settings.key is not None and key.strip() != self._settings.key:
            raise wrong_key(key.strip())

    def _prompt_usage(self, asked: ChatRequest) -> dict[str, Any]:
        texts = [f"{message['role']}\n{text_of(message)}\n" for message in asked.messages]
        prompt = f"{asked.model}\n{asked.schema_text}\n{''.join(texts)}"
        count = tokens.count(prompt)
        window = self._settings.context_window
        if count > window:
            message = (
                f"This model's maximum context length is {window} tokens. However, your messages resulted in "
                f"{count} tokens. Please reduce the length of the messages."
            )
            raise bad_request(message, "messages", "context_length_exceeded")
        details = {"cached_tokens": self._prefixes.hit(prompt), "audio_tokens": 0}
        return {
            "prompt_tokens": count,
            "completion_tokens": 0,
            "total_tokens": 0,
            "prompt_tokens_details": details,
            "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
        }

    async def _fail_before(self, fault: Fault, asked: ChatRequest) -> None:
        match fault.kind:
            case "429":
                raise rate_limited(asked.model, fault.retry_after)
            case "quota":
                raise out_of_quota()
            case "500" | "502" | "503" | "504":
                raise server_error(int(fault.kind))
            case "slow":
                await asyncio.sleep(fault.seconds)
            case "hang":
                # Until the client gives up: aiohttp then cancels the handler.
                await asyncio.Event().wait()

    async def _choice(self, asked: ChatRequest, fault: Fault | None, index: int) -> dict[str, Any]:
        whole = await self._content(asked, fault, index)
        content, refusal, reason = _damaged(whole, fault.kind if fault else "")
        if content is not None and asked.max_tokens is not None and tokens.count(content) > asked.max_tokens:
            content, reason = content[: asked.max_tokens * tokens.CHARACTERS_PER_TOKEN], "length"
        message: dict[str, Any] = {
            "role": "assistant",
            "content": content,
            "refusal": refusal,
            "annotations": [],
        }
        return {"index": index, "message": message, "logprobs": None, "finish_reason": reason}

    async def _content(self, asked: ChatRequest, fault: Fault | None, index: int) -> str:
        ask = Ask(asked.messages, self._settings.turns, self._settings.seed + index)
        if fault is not None and fault.kind == "answer":
            return fault.content if isinstance(fault.content, str) else json.dumps(fault.content)
        if asked.schema is not None and asked.schema_name is not None:
            answer = structured_answer(asked.schema_name, asked.schema, ask)
            return json.dumps(answer, ensure_ascii=False)
        try:
            reply = plain_answer(ask)
        except BoomError:
            raise server_error(500) from None
        if reply.delay_seconds:
            await asyncio.sleep(reply.delay_seconds)
        return json.dumps({"reply": reply.text}) if asked.any_json else reply.text

    async def _models(self, request: web.Request) -> web.Response:
        try:
            self._authorize(request)
        except ApiError as error:
            return web.json_response(error.body(), status=error.status)
        return web.json_response(
            {"object": "list", "data": [_model_entry(model) for model in self._settings.models]}
        )

    async def _model(self, request: web.Request) -> web.Response:
        model = request.match_info["model"]
        try:
            self._authorize(request)
            if model not in self._settings.models:
                raise unknown_model(model)
        except ApiError as error:
            return web.json_response(error.body(), status=error.status)
        return web.json_response(_model_entry(model))

    async def _unknown(self, request: web.Request) -> web.Response:
        error = ApiError(404, f"Invalid URL ({request.method} {request.path})")
        return web.json_response(error.body(), status=error.status)

    async def _add_faults(self, request: web.Request) -> web.Response:
        try:
            self._faults.add(parse_faults(await request.json()))
        except (ValueError, TypeError) as error:
            return web.json_response({"error": str(error)}, status=400)
        return await self._show_faults(request)

    async def _show_faults(self, _: web.Request) -> web.Response:
        return web.json_response({"faults": self._faults.state()})

    async def _clear_faults(self, request: web.Request) -> web.Response:
        self._faults.clear()
        return await self._show_faults(request)

    async def _show_log(self, request: web.Request) -> web.Response:
        with_bodies = "bodies" in request.query
        entries = []
        for entry in self._log:
            shown = {name: value for name, value in entry.items() if name != "body"}
            if with_bodies:
                shown["body"] = _decoded(entry.get("body"))
            entries.append(shown)
        return web.json_response({"total": self._total, "most_open": self._most_open, "requests": entries})

    async def _clear_log(self, request: web.Request) -> web.Response:
        self._log.clear()
        self._total = self._most_open = 0
        return await self._show_log(request)


def _damaged(content: str, kind: str) -> tuple[str | None, str | None, str]:
    """What becomes of an answer under a fault: content, refusal, finish reason."""
    match kind:
        case "refusal":
            return None, "I'm sorry, I can't assist with that request.", "stop"
        case "truncated":
            return content[: len(content) // 2], None, "length"
        case "malformed":
            return f"Sure! Here it is: {content[:-1]}", None, "stop"
        case "out_of_schema":
            return json.dumps({"unexpected": [1, None]}), None, "stop"
        case "content_filter":
            return "", None, "content_filter"
    return content, None, "stop"


def _decoded(body: bytes | None) -> Any:
    try:
        return json.loads(body or b"null")
    except ValueError:
        return None


def _model_entry(model: str) -> dict[str, Any]:
    return {"id": model, "object": "model", "created": 1_700_000_000, "owned_by": "openai"}


async def _break_off(request: web.Request, body: bytes, headers: Mapping[str, str]) -> web.StreamResponse:
    response = web.StreamResponse(headers={**headers, "content-type": "application/json"})
    response.content_length = len(body)
    await response.prepare(request)
    await response.write(body[: len(body) // 2])
    _reset(request)
    return response


def _reset(request: web.Request) -> None:
    """Ends the connection with a TCP reset."""
    transport = request.transport
    if transport is None:
        return
    connection = transport.get_extra_info("socket")
    # Linger of zero seconds is what makes close() send a reset.
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


async def _stream(
    request: web.Request,
    completion: Mapping[str, Any],
    headers: Mapping[str, str],
    *,
    include_usage: bool,
    reset: bool,
) -> web.StreamResponse:
    response = web.StreamResponse(headers={**headers, "content-type": "text/event-stream; charset=utf-8"})
    await response.prepare(request)
    chunks = list(_chunks(completion, include_usage=include_usage))
    for index, chunk in enumerate(chunks):
        if reset and index == len(chunks) // 2:
            _reset(request)
            return response
        await response.write(f"data: {json.dumps(chunk, separators=(',', ':'))}\n\n".encode())
    await response.write(b"data: [DONE]\n\n")
    await response.write_eof()
    return response


def _chunks(completion: Mapping[str, Any], *, include_usage: bool) -> Iterator[dict[str, Any]]:
    head = {
        "id": completion["id"],
        "object": "chat.completion.chunk",
        "created": completion["created"],
        "model": completion["model"],
        "service_tier": "default",
        "system_fingerprint": completion["system_fingerprint"],
    }
    tail = {"usage": None} if include_usage else {}

    def chunk(index: int, delta: Mapping[str, Any], reason: str | None = None) -> dict[str, Any]:
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": reason}
        return {**head, "choices": [choice], **tail}

    for choice in completion["choices"]:
        index, message = choice["index"], choice["message"]
        yield chunk(
            index,
            {"role": "assistant", "content": "" if message["content"] is not None else None, "refusal": None},
        )
        for field in ("content", "refusal"):
            for piece in pieces(message[field]) if message[field] else ():
                yield chunk(index, {field: piece})
        yield chunk(index, {}, choice["finish_reason"])
    if include_usage:
        yield {**head, "choices": [], "usage": completion["usage"]}
