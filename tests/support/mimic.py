"""A Mimic server in a process of its own, and the API to it."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import grpc
from google.protobuf.message import Message
from mimic.v1 import (
    adapters_pb2_grpc,
    agents_pb2,
    agents_pb2_grpc,
    evaluations_pb2_grpc,
    personas_pb2,
    personas_pb2_grpc,
    runs_pb2,
    runs_pb2_grpc,
    sessions_pb2,
    sessions_pb2_grpc,
)

from tests.support.processes import ROOT

START_SECONDS = 60
MIMIC = (sys.executable, "-m", "mimic_server")

M = TypeVar("M", bound=Message)


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment without what changes a server, with this Python's commands on PATH."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("OPENAI_", "MIMIC_", "DATABASE_"))}
    path = os.pathsep.join((str(Path(sys.executable).parent), clean.get("PATH", "")))
    return {**clean, "PATH": path, "LOG_LEVEL": "error", **(extra or {})}


@dataclass
class MimicServer:
    """A running `mimic serve`.

    Attributes:
        folder: Its data directory.
        process: Its process.
        address: host:port of gRPC.
        key: Its first admin key.
    """

    folder: Path
    process: asyncio.subprocess.Process
    address: str
    key: str

    async def kill(self) -> None:
        """Ends it as a crash would, with nothing cleaned up."""
        self.process.kill()
        await self.process.wait()

    async def stop(self) -> int:
        """Ends it gracefully, and returns its exit status."""
        if self.process.returncode is None:
            self.process.terminate()
        return await self.process.wait()


async def start(folder: Path, extra: Mapping[str, str] | None = None) -> MimicServer:
    """Starts a server on a data directory.

    Raises:
        RuntimeError: It does not come up.
    """
    process = await asyncio.create_subprocess_exec(
        *MIMIC, "--data-dir", str(folder), "serve", "--port", "0",
        cwd=ROOT, env=environment(extra), stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    async with asyncio.timeout(START_SECONDS):
        while b"adapters" not in (line := await process.stdout.readline()):
            if not line:
                message = f"mimic serve ended with {await process.wait()}"
                raise RuntimeError(message)
    address = (folder / "address").read_text().strip()
    return MimicServer(folder, process, address, (folder / "admin.key").read_text().strip())


@asynccontextmanager
async def mimic_server(folder: Path, extra: Mapping[str, str] | None = None) -> AsyncIterator[MimicServer]:
    """A server for as long as the block lasts."""
    server = await start(folder, extra)
    try:
        yield server
    finally:
        await server.stop()


class Api:
    """The calls that tests make, with the key."""

    def __init__(self, server: MimicServer, channel: grpc.aio.Channel) -> None:
        self._metadata = (("x-api-key", server.key),)
        self.agents: Any = agents_pb2_grpc.AgentServiceStub(channel)
        self.personas: Any = personas_pb2_grpc.PersonaServiceStub(channel)
        self.evaluations: Any = evaluations_pb2_grpc.EvaluationServiceStub(channel)
        self.sessions: Any = sessions_pb2_grpc.SessionServiceStub(channel)
        self.runs: Any = runs_pb2_grpc.RunServiceStub(channel)
        self.adapters: Any = adapters_pb2_grpc.AdapterAdminServiceStub(channel)

    async def call(self, method: Any, request: Message) -> Any:
        """Makes a unary call."""
        return await method(request, metadata=self._metadata)

    def stream(self, method: Any, request: Message) -> Any:
        """Makes a streaming call."""
        return method(request, metadata=self._metadata)

    async def agent(self, name: str, channel: str, **settings: Any) -> agents_pb2.Agent:
        """Makes an agent that is reached over a channel."""
        connection = agents_pb2.Connection(channel=channel)
        connection.settings.update(settings)
        request = agents_pb2.CreateAgentRequest(agent=agents_pb2.Agent(name=name), connections=[connection])
        agent: agents_pb2.Agent = (await self.call(self.agents.CreateAgent, request)).agent
        return agent

    async def persona(self, agent_id: str, *goals: str, **fields: Any) -> personas_pb2.Persona:
        """Makes a persona of an agent."""
        persona = personas_pb2.Persona(agent_id=agent_id, **{"name": "Maya", "goals": goals, **fields})
        request = personas_pb2.CreatePersonaRequest(persona=persona)
        made: personas_pb2.Persona = (await self.call(self.personas.CreatePersona, request)).persona
        return made

    async def run(self, agent_id: str, sessions: int, **options: Any) -> runs_pb2.Run:
        """Begins a run of so many sessions of the agent's persona, all at once."""
        request = runs_pb2.CreateRunRequest(agent_id=agent_id)
        request.options.repeats = request.options.concurrency = sessions
        request.options.session.seed = 1
        for name, value in options.items():
            setattr(request.options.session, name, value)
        run: runs_pb2.Run = (await self.call(self.runs.CreateRun, request)).run
        return run

    async def ended(self, run_id: str) -> runs_pb2.Run:
        """Waits for the end of a run."""
        run = runs_pb2.Run()
        async for event in self.stream(self.runs.WatchRun, runs_pb2.WatchRunRequest(run_id=run_id)):
            run = event.run if event.HasField("run") else run
        return run

    async def sessions_of(self, run_id: str) -> list[sessions_pb2.Session]:
        """All sessions of a run."""
        request = sessions_pb2.ListSessionsRequest(run_id=run_id, page_size=1000)
        return list((await self.call(self.sessions.ListSessions, request)).sessions)

    async def messages(self, session_id: str) -> list[sessions_pb2.Message]:
        """All messages of a session."""
        request = sessions_pb2.ListMessagesRequest(session_id=session_id, page_size=1000)
        return list((await self.call(self.sessions.ListMessages, request)).messages)


@asynccontextmanager
async def api(server: MimicServer) -> AsyncIterator[Api]:
    """The API to a server."""
    async with grpc.aio.insecure_channel(server.address) as channel:
        yield Api(server, channel)
