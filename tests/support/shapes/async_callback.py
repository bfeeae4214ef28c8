"""An agent that takes a message with 202 and posts its answer to an address that came with it.

    POST /messages {"conversation_id", "message", "callback_url", "message_id"?} -> 202 {"accepted": true,
    "id"} then POST callback_url {"conversation_id", "in_reply_to", "sequence", "text", "final", "ended"}

Each callback carries `X-Delivery-Id` and `X-Hub-Signature-256: sha256=` + hex HMAC-SHA256(secret, raw body),
the form of GitHub's and Meta's webhooks (from memory, 2026-11-22). It is repeated up to three times, with the
same id, until it is answered with 2xx. Commands beside the usual: `twice` delivers each callback twice,
`forge` first delivers one with a wrong signature, `never` calls nobody back.
"""

import asyncio
import hashlib
import hmac
import itertools
import json
import uuid
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
from aiohttp import web

from tests.support.shapes.common import Agent, json_body
from tests.support.shapes.echo import Reply

_ATTEMPTS = 3
_BETWEEN_SECONDS = 0.1
_REQUIRED = ("conversation_id", "message", "callback_url")


def make_app(agent: Agent) -> web.Application:
    """Builds the web application.

    Args:
        agent: The agent behind it.
    """
    shape = _Callbacks(agent)
    app = web.Application()
    app.router.add_post("/messages", shape.take)
    app.cleanup_ctx.append(shape.running)
    return app


class _Callbacks:
    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._secret = agent.settings.secret.encode()
        self._numbers = itertools.count(1)
        self._tasks: set[asyncio.Task[None]] = set()
        self._http: aiohttp.ClientSession | None = None

    async def running(self, _: web.Application) -> AsyncIterator[None]:
        async with aiohttp.ClientSession() as self._http:
            yield
            for task in self._tasks:
                task.cancel()

    async def take(self, request: web.Request) -> web.Response:
        try:
            body = await json_body(request)
        except ValueError:
            body = None
        if not isinstance(body, dict) or not all(isinstance(body.get(name), str) for name in _REQUIRED):
            return web.json_response({"error": f"{', '.join(_REQUIRED)} are required strings"}, status=400)
        if body["message"].strip().lower() == "boom":
            self._agent.witness(body["conversation_id"], body["message"], request)
            return web.json_response({"error": "internal error"}, status=500)
        key = body.get("message_id") or f"m-{next(self._numbers)}"
        task = asyncio.create_task(self._answer(request, body, key))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return web.json_response({"accepted": True, "id": key}, status=202)

    async def _answer(self, request: web.Request, body: dict[str, Any], key: str) -> None:
        reply = await self._agent.answer(body["conversation_id"], body["message"], request)
        command = body["message"].strip().lower()
        if command == "never":
            return
        for callback in _callbacks(body["conversation_id"], key, reply):
            raw = json.dumps(callback).encode()
            delivery = uuid.uuid4().hex
            if command == "forge":
                await self._post(body["callback_url"], raw, uuid.uuid4().hex, "0" * 64)
            signature = hmac.new(self._secret, raw, hashlib.sha256).hexdigest()
            for _ in range(2 if command == "twice" else 1):
                await self._deliver(body["callback_url"], raw, delivery, signature)

    async def _deliver(self, url: str, raw: bytes, delivery: str, signature: str) -> None:
        for _ in range(_ATTEMPTS):
            if await self._post(url, raw, delivery, signature):
                return
            await asyncio.sleep(_BETWEEN_SECONDS)

    async def _post(self, url: str, raw: bytes, delivery: str, signature: str) -> bool:
        headers = {
            "Content-Type": "application/json",
            "X-Delivery-Id": delivery,
            "X-Hub-Signature-256": f"sha256={signature}",
        }
        assert self._http is not None
        try:
            async with self._http.post(url, data=raw, headers=headers) as response:
                return response.ok
        except aiohttp.ClientError:
            return False


def _callbacks(conversation_id: str, key: str, reply: Reply) -> list[dict[str, Any]]:
    last = len(reply.messages)
    return [
        {
            "conversation_id": conversation_id,
            "in_reply_to": key,
            "sequence": number,
            "text": text,
            "final": number == last,
            "ended": reply.ended and number == last,
        }
        for number, text in enumerate(reply.messages, start=1)
    ]
