"""1,000 sessions at once: wall beside the ideal, and memory a session."""

from __future__ import annotations

from collections.abc import Sequence

from tests.benchmarks.measure import Figure
from tests.benchmarks.playing import play, server
from tests.support.llm import openai_server
from tests.support.processes import python_service

SESSIONS = 1000
TURNS = 10
MODEL_MS = 50
AGENT_MS = 20


async def measure() -> Sequence[Figure]:
    """Wall, memory and how many completed."""
    ideal = TURNS * (MODEL_MS + AGENT_MS) / 1e3
    async with (
        python_service("tests.benchmarks.echo_agent", ["--delay-ms", str(AGENT_MS)]) as agent,
        openai_server(turns=0, latency_ms=MODEL_MS) as model,
        server({"OPENAI_BASE_URL": model.base_url, "OPENAI_API_KEY": "sk-test"}) as mimic,
    ):
        played = await play(
            mimic, f"{agent.url}/chat", sessions=SESSIONS, turns=TURNS, goals=3, watch_memory=True
        )
    detail = f"{played.turns} turns; CPU {played.cpu_seconds / played.turns * 1e3:.2f} ms a turn"
    return [
        Figure("thousand_sessions_wall", "s", played.wall_seconds, ideal, None, detail),
        Figure("thousand_sessions_memory", "KB a session", played.peak_bytes / SESSIONS / 1e3),
        Figure("thousand_sessions_missing", "sessions", float(SESSIONS - played.completed), None, 0.0),
    ]
