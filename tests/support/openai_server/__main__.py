"""Runs the server: `python -m tests.support.openai_server`."""

import argparse
import json
import pathlib
import socket

from aiohttp import web

from tests.support.openai_server.app import Server, Settings
from tests.support.openai_server.faults import Faults, parse_faults
from tests.support.openai_server.requests import MODELS

_BACKLOG = 1024


def main() -> None:
    """Runs the server until it is interrupted or terminated."""
    parser = argparse.ArgumentParser(prog="openai_server", description="A local OpenAI-compatible server.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8701, help="0 takes any free port (default: %(default)s)")
    parser.add_argument("--latency-ms", type=float, default=0, help="how long each answer takes")
    parser.add_argument("--turns", type=int, default=10, help="a persona stops with this turn; 0: never")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--api-key", help="the one good key; without it any is")
    parser.add_argument(
        "--models", default=",".join(MODELS), help="the models that exist, with commas between"
    )
    parser.add_argument(
        "--context-window", type=int, default=128_000, help="in tokens (default: %(default)s)"
    )
    parser.add_argument("--faults", help="faults as JSON, or a file of it; see faults.py")
    parser.add_argument("--log", type=pathlib.Path, help="append a line of JSON for each request")
    options = parser.parse_args()
    settings = Settings(
        key=options.api_key,
        models=tuple(options.models.split(",")),
        turns=options.turns,
        seed=options.seed,
        latency_seconds=options.latency_ms / 1000,
        context_window=options.context_window,
        log=options.log.open("a", encoding="utf-8") if options.log else None,
    )
    faults = Faults()
    if options.faults:
        given = options.faults.strip()
        text = given if given[:1] in {"[", "{"} else pathlib.Path(given).read_text(encoding="utf-8")
        faults.add(parse_faults(json.loads(text)))
    listener = socket.create_server((options.host, options.port), backlog=_BACKLOG)
    app = Server(settings, faults).app()

    async def announce(_: web.Application) -> None:
        print(f"listening on http://{options.host}:{listener.getsockname()[1]}/v1", flush=True)

    app.on_startup.append(announce)
    # A hanging request ends when its client does; without that it would hold the server's end up.
    web.run_app(
        app,
        sock=listener,
        print=None,
        access_log=None,
        backlog=_BACKLOG,
        shutdown_timeout=1,
        handler_cancellation=True,
    )


if __name__ == "__main__":
    main()
