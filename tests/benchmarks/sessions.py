"""200 sessions of 10 turns at once, with a language model and with the script."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from openai import AsyncOpenAI

from tests.benchmarks import hop
from tests.benchmarks.measure import CpuTime, Figure
from tests.benchmarks.playing import Played, play, server
from tests.support.llm import OpenAIServer, openai_server
from tests.support.processes import python_service

SESSIONS = 200
TURNS = 10
ROUNDS = 3


async def measure_model() -> Sequence[Figure]:
    """Mimic's CPU a turn beside a bare loop over the client's calls.

    Rounds of both in turn; the cheapest round of each counts, since others use the machine too.
    """
    async with python_service("tests.benchmarks.echo_agent") as agent, openai_server(turns=0) as model:
        environment = {"OPENAI_BASE_URL": model.base_url, "OPENAI_API_KEY": "sk-test"}
        floors, rounds = [], []
        async with server(environment) as mimic:
            for _ in range(ROUNDS):
                url = f"{agent.url}/chat"
                rounds.append(await play(mimic, url, sessions=SESSIONS, turns=TURNS, goals=3))
                floors.append(await _bare(model, await _bodies(model)))
    played = min(rounds, key=lambda played: played.cpu_seconds)
    value = played.cpu_seconds / played.turns * 1e3
    return [Figure("model_sessions", "ms CPU a turn", value, min(floors), 0.45, _detail(played))]


async def measure_scripted() -> Sequence[Figure]:
    """Mimic's CPU a turn with the script; the adapter hop's bare floor stands beside it."""
    async with python_service("tests.benchmarks.echo_agent") as agent, server({}) as mimic:
        played = await play(mimic, f"{agent.url}/chat", sessions=SESSIONS, turns=TURNS, goals=10)
    bare = await hop.bare()
    value = played.cpu_seconds / played.turns * 1e3
    detail = f"{_detail(played)}; bare hop {bare.cpu_us / 1e3:.3f} ms"
    return [Figure("scripted_sessions", "ms CPU a turn", value, None, 1.5, detail)]


def _detail(played: Played) -> str:
    done = f"{played.completed} of {SESSIONS} sessions completed"
    return f"{done}, {played.turns} turns in {played.wall_seconds:.1f} s wall"


async def _bodies(model: OpenAIServer) -> list[dict[str, Any]]:
    """What the model was asked, as it was sent."""
    return [entry["body"] for entry in await model.requests(bodies=True)]


async def _bare(model: OpenAIServer, bodies: list[dict[str, Any]]) -> float:
    """Milliseconds of CPU a call: the same calls at the same concurrency, as the package means it."""
    client = AsyncOpenAI(base_url=model.base_url, api_key="sk-test", max_retries=4)
    waiting = list(bodies)

    async def caller() -> None:
        while waiting:
            await client.chat.completions.create(**waiting.pop())

    await client.chat.completions.create(**bodies[0])
    cpu = CpuTime(own=True)
    await asyncio.gather(*(caller() for _ in range(SESSIONS)))
    seconds = cpu.seconds()
    await client.close()
    return seconds / len(bodies) * 1e3
