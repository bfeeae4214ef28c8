"""A server in processes of its own that plays many sessions, watched from here."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
from mimic.v1 import agents_pb2, agents_pb2_grpc, personas_pb2, personas_pb2_grpc, runs_pb2, runs_pb2_grpc

from tests.benchmarks.measure import CpuTime, memory_bytes
from tests.support.processes import ROOT

START_SECONDS = 60


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


@dataclass(frozen=True)
class Server:
    """A running server."""

    address: str
    key: str
    pid: int


@asynccontextmanager
async def server(environment: Mapping[str, str]) -> AsyncIterator[Server]:
    """`mimic serve` on a data directory of its own."""
    with tempfile.TemporaryDirectory() as folder:
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("OPENAI_", "MIMIC_"))}
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "mimic_server", "--data-dir", folder, "serve", "--port", "0",
            cwd=ROOT, env={**clean, "LOG_LEVEL": "error", **environment},
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            assert process.stdout is not None
            async with asyncio.timeout(START_SECONDS):
                while b"personas" not in await process.stdout.readline():
                    pass
            key = (Path(folder) / "admin.key").read_text().strip()
            yield Server((Path(folder) / "address").read_text().strip(), key, process.pid)
        finally:
            process.terminate()
            await process.wait()


async def play(
    server: Server, agent_url: str, *, sessions: int, turns: int, goals: int, watch_memory: bool = False
) -> Played:
    """Plays sessions at once against an agent over REST, and waits for their end."""
    metadata = (("x-api-key", server.key),)
    async with grpc.aio.insecure_channel(server.address) as channel:
        created = await agents_pb2_grpc.AgentServiceStub(channel).CreateAgent(
            agents_pb2.CreateAgentRequest(agent=agents_pb2.Agent(name="echo")), metadata=metadata
        )
        connection = agents_pb2.Connection(channel="rest")
        connection.settings.update({"url": agent_url})
        await agents_pb2_grpc.AgentServiceStub(channel).AddConnection(
            agents_pb2.AddConnectionRequest(agent_id=created.agent.id, connection=connection),
            metadata=metadata,
        )
        persona = personas_pb2.Persona(
            agent_id=created.agent.id,
            name="Maya",
            background="She ordered a tent, order number 10482, two weeks ago, and it has not come.",
            goals=[f"Find out about item {number} of the order" for number in range(goals)],
        )
        await personas_pb2_grpc.PersonaServiceStub(channel).CreatePersona(
            personas_pb2.CreatePersonaRequest(persona=persona), metadata=metadata
        )
        before = memory_bytes(server.pid)
        cpu = CpuTime([server.pid])
        runs = runs_pb2_grpc.RunServiceStub(channel)
        run = await runs.CreateRun(_run(created.agent.id, sessions, turns), metadata=metadata)
        watching = asyncio.create_task(_peak(server.pid)) if watch_memory else None
        request = runs_pb2.GetRunRequest(run_id=run.run.id)
        # A watcher's stream would be measured too.
        while not (current := (await runs.GetRun(request, metadata=metadata)).run).end_time.seconds:
            await asyncio.sleep(0.2)
        seconds, wall = cpu.seconds(), cpu.wall_seconds()
        peak = 0
        if watching is not None:
            watching.cancel()
            peak = max(_peaks) - before
        report = await runs.GetReport(runs_pb2.GetReportRequest(run_id=run.run.id), metadata=metadata)
        completed = sum(entry.count for entry in report.report.states if entry.state == COMPLETED)
        assert current.sessions_ended == sessions
        return Played(seconds, wall, int(report.report.turns), completed, peak)


COMPLETED = 4

_peaks: list[int] = []


def _run(agent_id: str, sessions: int, turns: int) -> runs_pb2.CreateRunRequest:
    request = runs_pb2.CreateRunRequest(agent_id=agent_id)
    request.options.repeats = sessions
    request.options.concurrency = sessions
    request.options.session.max_turns = turns
    request.options.session.seed = 1
    return request


async def _peak(pid: int) -> None:
    _peaks[:] = [0]
    while True:
        _peaks.append(await asyncio.to_thread(memory_bytes, pid))
        await asyncio.sleep(0.5)
