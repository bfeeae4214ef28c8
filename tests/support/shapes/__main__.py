"""Runs an agent of one shape: `python -m tests.support.shapes NAME --port 0`."""

import argparse
import importlib
import pathlib
import runpy
import socket
import sys

from aiohttp import web

from tests.support.shapes.common import Agent, Settings

SHAPES = (
    "http-json",
    "openai-responses",
    "a2a",
    "rasa",
    "langgraph",
    "ag-ui",
    "vercel-ai",
    "bot-framework",
    "async-callback",
    "polling",
    "ndjson",
    "openai-realtime",
    "socket-io",
    "ws-echo",
)
"""Each is the module of its name here, with underscores."""

ELSEWHERE = {"plain": "examples.support_agent", "openai-chat": "tests.support.openai_server"}
"""These are programs of their own, with options of their own."""

_BACKLOG = 1024


def main() -> None:
    """Runs the agent until it is interrupted or terminated."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name in ELSEWHERE:
        sys.argv[1:2] = []
        runpy.run_module(ELSEWHERE[name], run_name="__main__")
        return
    parser = argparse.ArgumentParser(prog="shapes", description="An agent that speaks one shape.")
    parser.add_argument("name", choices=[*ELSEWHERE, *SHAPES])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8702, help="0 takes any free port (default: %(default)s)")
    parser.add_argument("--log", type=pathlib.Path, help="append a line of JSON for each message")
    parser.add_argument("--secret", default=Settings.secret, help="what async-callback signs with")
    parser.add_argument("--ping-ms", type=int, default=Settings.ping_ms, help="how often socket-io pings")
    options = parser.parse_args()
    listener = socket.create_server((options.host, options.port), backlog=_BACKLOG)
    address = f"http://{options.host}:{listener.getsockname()[1]}"
    log = options.log.open("a", encoding="utf-8") if options.log else None
    module = importlib.import_module(f"tests.support.shapes.{options.name.replace('-', '_')}")
    app: web.Application = module.make_app(Agent(Settings(log, options.secret, options.ping_ms, address)))

    async def announce(_: web.Application) -> None:
        print(f"listening on {address}", flush=True)

    app.on_startup.append(announce)
    web.run_app(app, sock=listener, print=None, access_log=None, backlog=_BACKLOG, shutdown_timeout=1)


if __name__ == "__main__":
    main()
