"""A server that plays many sessions, measured from here."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from mimic.v1 import runs_pb2, sessions_pb2

from tests.benchmarks.measure import CpuTime, memory_bytes
from tests.support.mimic import MimicServer, api, mimic_server


@dataclass(frozen=True)
class Played:
    """What a run took."""

    cpu_seconds: float
    """Of the server and its adapters."""
    wall_seconds: float
    turns: int
    completed: int
    peak_bytes: int
    """Memory of the server and its adapters at the most, as far as it was looked at, above the start."""


@asynccontextmanager
async def server(extra: Mapping[str, str]) -> AsyncIterator[MimicServer]:
    """A server on a data directory of its own."""
    with tempfile.TemporaryDirectory() as folder:
        async with mimic_server(Path(folder), extra) as running:
            yield running


async def play(
    running: MimicServer,
    agent_url: str,
    *,
    sessions: int,
    turns: int,
    goals: int,
    watch_memory: bool = False,
) -> Played:
    """Plays sessions at once against an agent over REST, and waits for their end."""
    pid = running.process.pid
    async with api(running) as mimic:
        agent = await mimic.agent("echo", "rest", url=agent_url)
        await mimic.persona(
            agent.id,
            *(f"Find out about item {number} of the order" for number in range(goals)),
            background="She ordered a tent, order number 10482, two weeks ago, and it has not come.",
        )
        before = peak = memory_bytes(pid)
        cpu = CpuTime([pid])
        run = await mimic.run(agent.id, sessions, max_turns=turns)
        request = runs_pb2.GetRunRequest(run_id=run.id)
        # Asked now and then: a watcher's stream would be measured too.
        while not (run := (await mimic.call(mimic.runs.GetRun, request)).run).end_time.seconds:
            await asyncio.sleep(0.2)
            if watch_memory:
                peak = max(peak, memory_bytes(pid))
        seconds, wall = cpu.seconds(), cpu.wall_seconds()
        report = (await mimic.call(mimic.runs.GetReport, runs_pb2.GetReportRequest(run_id=run.id))).report
    completed = sum(
        entry.count for entry in report.states if entry.state == sessions_pb2.SESSION_STATE_COMPLETED
    )
    return Played(seconds, wall, int(report.turns), completed, peak - before)
