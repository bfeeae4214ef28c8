"""An agent over HTTP that costs as little as can be: `{"message"}` to `{"reply"}`, after a delay.

python -m tests.benchmarks.echo_agent [--delay-ms N]
"""

from __future__ import annotations

import argparse
import asyncio
import json

from aiohttp import web


async def _serve(delay_seconds: float) -> None:
    async def chat(request: web.BaseRequest) -> web.Response:
        body = json.loads(await request.read())
        if delay_seconds:
            await asyncio.sleep(delay_seconds)
        return web.json_response({"reply": f"I have noted this: {body['message']}. Anything else?"})

    runner = web.ServerRunner(web.Server(chat))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=2048)
    await site.start()
    print(f"listening on http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--delay-ms", type=float, default=0)
    asyncio.run(_serve(parser.parse_args().delay_ms / 1000))
