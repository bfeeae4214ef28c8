"""An agent for the conformance kit: answers each text with itself, and `say N` with N texts.

`/chat` answers at once, `/later` by a signed callback. Its first line on standard output tells its address,
each further one what it received.
"""

import asyncio
import hashlib
import hmac
import json
from typing import Any

import aiohttp
from aiohttp import web

SECRET = "kit-agent-secret"
_MAX_BODY_BYTES = 32 * 1024 * 1024


def _replies(body: dict[str, Any]) -> list[str]:
    text = body["message"]
    print(json.dumps({"text": text}), flush=True)
    word, _, number = text.partition(" ")
    if word == "say" and number.isdigit():
        return [f"{index} of {text}" for index in range(int(number))]
    return [f"you said: {text}"]


async def _chat(request: web.Request) -> web.Response:
    return web.json_response({"reply": _replies(await request.json())})


class _Later:
    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._http = aiohttp.ClientSession()
        self._in_turn = asyncio.Lock()

    async def take(self, request: web.Request) -> web.Response:
        body = await request.json()
        task = asyncio.create_task(self._post(body["callback_url"], _replies(body)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return web.json_response({"accepted": True}, status=202)

    async def _post(self, url: str, replies: list[str]) -> None:
        # One after another: callbacks over several connections may overtake each other.
        async with self._in_turn:
            raw = json.dumps({"reply": replies, "final": True}).encode()
            signature = hmac.new(SECRET.encode(), raw, hashlib.sha256).hexdigest()
            try:
                async with self._http.post(
                    url, data=raw, headers={"X-Hub-Signature-256": f"sha256={signature}"}
                ):
                    pass
            except aiohttp.ClientError:
                # The kit kills adapters.
                return


async def _main() -> None:
    app = web.Application(client_max_size=_MAX_BODY_BYTES)
    app.add_routes([web.post("/chat", _chat), web.post("/later", _Later().take)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(json.dumps({"url": f"http://127.0.0.1:{runner.addresses[0][1]}"}), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_main())
