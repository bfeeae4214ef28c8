"""An agent for the conformance kit: answers each text with itself, and `say N` with N texts.

It speaks what the preset `json` does, and keeps its conversations: a socket that comes back goes on with one.
Its first line on standard output tells its address, each further one what it received.
"""

import asyncio
import json

import aiohttp
from aiohttp import web

_MAX_FRAME_BYTES = 32 * 1024 * 1024


def _replies(text: str) -> list[str]:
    word, _, number = text.partition(" ")
    if word == "say" and number.isdigit():
        return [f"{index} of {text}" for index in range(int(number))]
    return [f"you said: {text}"]


async def _talk(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse(max_msg_size=_MAX_FRAME_BYTES)
    await socket.prepare(request)
    await socket.send_json({"type": "ready", "resumed": "again" in request.query})
    async for frame in socket:
        if frame.type is not aiohttp.WSMsgType.TEXT:
            continue
        message = json.loads(frame.data)
        if message["type"] != "message":
            continue
        print(json.dumps({"text": message["text"]}), flush=True)
        for text in _replies(message["text"]):
            await socket.send_json({"type": "message", "text": text, "in_reply_to": message["id"]})
        await socket.send_json({"type": "turn_complete"})
    return socket


async def _main() -> None:
    app = web.Application()
    app.router.add_get("/ws", _talk)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(json.dumps({"url": f"ws://127.0.0.1:{runner.addresses[0][1]}/ws"}), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_main())
