"""`mimic chat`: you are the persona."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator

from mimic.v1 import sessions_pb2
from rich.console import Console
from rich.markup import escape

from mimic_server.cli.plan import Plan
from mimic_server.cli.playing import prepare
from mimic_server.cli.remote import Remote
from mimic_server.cli.view import RunView


async def chat(console: Console, remote: Remote, plan: Plan) -> None:
    """Lets the person at the terminal talk with a plan's agent until they or the agent end it.

    Raises:
        CommandError: The agent cannot be reached.
    """
    with RunView(console, follows=True) as view:
        prepared = await prepare(remote, plan, view)
    created = await remote.call(
        sessions_pb2.CreateSessionRequest(
            agent_id=prepared.agent.id, persona_id=prepared.persona_ids[0], human_control=True
        ),
        sessions_pb2.CreateSessionResponse,
    )
    session_id = created.session.id
    name = escape(created.session.persona.name)
    console.print(f"[dim]You are {name}. An empty line or Ctrl-D ends the conversation.[/dim]")
    reading = asyncio.create_task(_read(remote, session_id))
    view = RunView(console, follows=True, speaks=True)
    view.followed(sessions_pb2.WatchSessionResponse(session=created.session))
    request = sessions_pb2.WatchSessionRequest(session_id=session_id)
    try:
        async for event in remote.stream(request, sessions_pb2.WatchSessionResponse):
            view.followed(event)
    finally:
        reading.cancel()


async def _read(remote: Remote, session_id: str) -> None:
    async for line in _lines():
        await remote.call(
            sessions_pb2.SendMessageRequest(session_id=session_id, text=line),
            sessions_pb2.SendMessageResponse,
        )
    await remote.call(
        sessions_pb2.CancelSessionRequest(session_id=session_id), sessions_pb2.CancelSessionResponse
    )


async def _lines() -> AsyncIterator[str]:
    """Lines from standard input until an empty one or the end."""
    loop = asyncio.get_running_loop()
    while True:
        line = (await loop.run_in_executor(None, sys.stdin.readline)).strip()
        if not line:
            return
        yield line
