"""What a run of the kit works on: adapters, connections and agents, made where a rule needs them."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import uuid4

import grpc
from mimic.adapter.v1 import adapter_pb2, conversation_pb2

from mimic_plugin_sdk.testing._agent import parse_witness
from mimic_plugin_sdk.testing._conversation import Conversation
from mimic_plugin_sdk.testing._launcher import AdapterProcess, Handshake, launch
from mimic_plugin_sdk.testing._rule import NotDeclaredError, NotGivenError
from mimic_plugin_sdk.testing._subject import Agent, RunningAgent, Settings, Subject
from mimic_plugin_sdk.testing._wire import Client

CONNECTION = "conformance"
"""Id of the connection that rules converse over."""

_MODES = {
    None: adapter_pb2.MODE_UNSPECIFIED,
    "live": adapter_pb2.MODE_LIVE,
    "emulator": adapter_pb2.MODE_EMULATOR,
}
_MOST_SESSIONS = 64
_WITNESS_SECONDS = 2.0
_NOTICE_SECONDS = 2.0
"""How long an adapter may take to notice that a call was cancelled."""


class _Slots:
    """Places for sessions, taken several at a time so that two rules never wait for each other's second."""

    def __init__(self, number: int) -> None:
        self.number = number
        self._free = number
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def take(self, wanted: int) -> AsyncIterator[None]:
        async with self._changed:
            await self._changed.wait_for(lambda: self._free >= wanted)
            self._free -= wanted
        try:
            yield
        finally:
            async with self._changed:
                self._free += wanted
                self._changed.notify_all()


@dataclass
class Peer:
    """An adapter that serves."""

    subject: Subject
    client: Client
    manifest: adapter_pb2.Manifest
    process: AdapterProcess | None
    """Its process. None: it runs elsewhere."""
    handshake: Handshake | None
    slots: _Slots
    agent: RunningAgent | None = None
    settings: Settings = field(default_factory=dict)
    """What it was connected with."""
    connected: adapter_pb2.ConnectResponse = field(default_factory=adapter_pb2.ConnectResponse)
    """What Connect answered."""

    @property
    def can(self) -> adapter_pb2.Capabilities:
        """What the manifest declares."""
        return self.manifest.capabilities

    @property
    def mode(self) -> adapter_pb2.Mode.ValueType:
        """The mode under test, as Connect is told it."""
        return _MODES[self.subject.mode]

    @property
    def emulates(self) -> bool:
        """Whether the adapter is the platform, in the mode under test."""
        modes = list(self.manifest.modes)
        return (self.mode or (modes[0] if modes else 0)) == adapter_pb2.MODE_EMULATOR

    def needs(self, ability: str) -> None:
        """Skips the rule where the manifest does not declare an ability."""
        if not getattr(self.can, ability):
            raise NotDeclaredError(f"the manifest does not declare {ability}")

    async def received(self, text: str, *, by: str) -> int | None:
        """How many messages with a text the agent received until one with another text, sent later, came.

        Args:
            text: What to look for.
            by: Text of a message that was answered, and so was received; its witness may come a little later.

        Returns:
            How many; None where no witness tells.
        """
        texts = self._witnessed()
        deadline = time.monotonic() + _WITNESS_SECONDS
        while texts is not None and not any(by in one for one in texts) and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
            texts = self._witnessed()
        return None if texts is None else sum(text in one for one in texts)

    def _witnessed(self) -> Sequence[str] | None:
        if self.subject.witness is not None:
            lines = self.subject.witness.read_text(encoding="utf-8").splitlines()
            return [parse_witness(line).text for line in lines]
        received = self.agent.received() if self.agent is not None else None
        return None if received is None else [message.text for message in received]

    def new_open(self, connection_id: str = CONNECTION) -> conversation_pb2.Open:
        """Makes the Open of a new session."""
        return conversation_pb2.Open(
            session_id=str(uuid4()),
            attempt=1,
            connection_id=connection_id,
            persona=conversation_pb2.PersonaFace(display_name="Ada Conformance", locale="en-GB"),
            seed=1,
        )

    async def begin(self, opening: conversation_pb2.Open, *, ack: bool = True) -> Conversation:
        """Makes the call and writes Open; the caller holds a slot, and enters the conversation."""
        every = self.can.max_unacked_events if ack else 0
        conversation = Conversation(self.client, opening, self.subject.answer_within, every)
        await conversation.write(conversation_pb2.HostItem(open=opening))
        return conversation

    @asynccontextmanager
    async def session(
        self, opening: conversation_pb2.Open | None = None, *, ack: bool = True
    ) -> AsyncIterator[Conversation]:
        """Opens a session, waits for Opened, and ends it after the block."""
        opening = opening or self.new_open()
        async with self.slots.take(1), await self.begin(opening, ack=ack) as conversation:
            await conversation.opened()
            yield conversation

    @asynccontextmanager
    async def two_sessions(self) -> AsyncIterator[tuple[Conversation, Conversation]]:
        """Opens two sessions at once, as `session` does."""
        if self.slots.number < 2:
            raise NotDeclaredError("the manifest declares max_concurrent_sessions of 1")
        opening, another = self.new_open(), self.new_open()
        async with self.slots.take(2), await self.begin(opening) as one, await self.begin(another) as other:
            await one.opened()
            await other.opened()
            yield one, other

    @asynccontextmanager
    async def resumed(
        self, broken: Conversation, resume: conversation_pb2.Resume
    ) -> AsyncIterator[Conversation]:
        """Resumes a session whose call was cancelled, within the slot of its first stream.

        The adapter may need a moment to see the cancellation, and answers ALREADY_EXISTS until then.
        """
        opening = conversation_pb2.Open()
        opening.CopyFrom(broken.opening)
        opening.resume.CopyFrom(resume)
        async with await self._begin_when_free(opening) as conversation:
            await conversation.opened()
            yield conversation

    async def _begin_when_free(self, opening: conversation_pb2.Open) -> Conversation:
        waited = 0.01
        while True:
            conversation = await self.begin(opening)
            await conversation.begun()
            status = conversation.status
            if (
                status is None
                or status.code is not grpc.StatusCode.ALREADY_EXISTS
                or waited > _NOTICE_SECONDS
            ):
                return conversation
            await asyncio.sleep(waited)
            waited *= 2


class Bench:
    """What a run works on."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.heard: list[str] = []
        """All that adapters said in statuses, faults and raw events."""
        self.processes: list[AdapterProcess] = []
        """Every adapter that was launched as it should be."""
        self._shared: asyncio.Task[Peer] | None = None
        self._agent: asyncio.Task[RunningAgent] | None = None
        self._probes: dict[str, asyncio.Task[tuple[AdapterProcess, Handshake]]] = {}
        # More at once would only make each start later, on the clock of its own deadline.
        self._starting = asyncio.Semaphore((os.cpu_count() or 1) + 1)
        self._clients: list[Client] = []
        self._agents: list[RunningAgent] = []

    async def shared(self) -> Peer:
        """The adapter that rules share, with its connection up; launched again where a rule ended it.

        Raises:
            BrokenError: It does not start.
            RefusedError: It does not connect.
        """
        if self._shared is None or self._shared_is_gone():
            self._shared = asyncio.create_task(self._make_shared())
        return await asyncio.shield(self._shared)

    def _shared_is_gone(self) -> bool:
        if self._shared is None or not self._shared.done() or self._shared.exception() is not None:
            return False
        process = self._shared.result().process
        return process is not None and process.exit_code is not None

    async def _make_shared(self) -> Peer:
        if self.subject.command:
            peer = await self._meet(*await self._launch())
        else:
            peer = await self._meet(None, None)
        await self.connect(peer)
        return peer

    @asynccontextmanager
    async def fresh(
        self, *, connect: bool = True, own_agent: bool = False, parent: Sequence[str] = ()
    ) -> AsyncIterator[Peer]:
        """Launches an adapter of the rule's own.

        Args:
            connect: Whether its connection is brought up.
            own_agent: Whether the agent is of the rule's own too, so that it may be killed.
            parent: A command that launches the command which follows it, and becomes its host.

        Raises:
            NotGivenError: The adapter runs elsewhere.
            BrokenError: It does not start.
            RefusedError: It does not connect.
        """
        process, handshake = await self._launch(parent=parent)
        try:
            peer = await self._meet(process, handshake)
            if connect:
                await self.connect(peer, own_agent=own_agent)
            yield peer
        finally:
            await process.kill()

    async def probe(self, key: str, changes: Mapping[str, str | None]) -> tuple[AdapterProcess, Handshake]:
        """Launches an adapter for its handshake alone; rules that ask for the same `key` share it."""
        if key not in self._probes:
            self._probes[key] = asyncio.create_task(self._launch(changes))
        return await asyncio.shield(self._probes[key])

    async def _launch(
        self, changes: Mapping[str, str | None] | None = None, parent: Sequence[str] = ()
    ) -> tuple[AdapterProcess, Handshake]:
        async with self._starting:
            process = await self.start(changes, parent)
            self.processes.append(process)
            return process, await process.handshake()

    async def start(
        self, changes: Mapping[str, str | None] | None = None, parent: Sequence[str] = ()
    ) -> AdapterProcess:
        """Launches the command and waits for nothing; the caller kills it.

        Raises:
            NotGivenError: The adapter runs elsewhere.
            BrokenError: The command cannot be run.
        """
        if not self.subject.command:
            raise NotGivenError("needs the adapter's command")
        return await launch([*parent, *self.subject.command], self.subject.env, changes)

    async def _meet(self, process: AdapterProcess | None, handshake: Handshake | None) -> Peer:
        client = Client(handshake.target if handshake else self.subject.address, self.heard)
        self._clients.append(client)
        manifest = await client.manifest()
        slots = _Slots(manifest.capabilities.max_concurrent_sessions or _MOST_SESSIONS)
        return Peer(self.subject, client, manifest, process, handshake, slots)

    async def connect(self, peer: Peer, *, own_agent: bool = False) -> None:
        """Brings the peer's connection and agent up, in the order that the agent needs."""
        agent = self.subject.agent
        if agent is not None and not agent.after_connect:
            peer.agent = await (self._new_agent(agent, {}) if own_agent else self._shared_agent(agent))
        settings = self.subject.settings
        if callable(settings):
            if peer.agent is None:
                raise NotGivenError("settings made from the agent need one that starts before Connect")
            settings = settings(peer.agent)
        peer.settings = settings
        peer.connected = await peer.client.connect(CONNECTION, settings, peer.mode)
        if agent is not None and agent.after_connect:
            told = {one.env_var or one.name: one.value for one in peer.connected.agent_settings}
            peer.agent = await self._new_agent(agent, told)

    async def _shared_agent(self, agent: Agent) -> RunningAgent:
        if self._agent is None:
            self._agent = asyncio.create_task(self._new_agent(agent, {}))
        return await asyncio.shield(self._agent)

    async def _new_agent(self, agent: Agent, told: Mapping[str, str]) -> RunningAgent:
        running = await asyncio.to_thread(agent.start, told)
        self._agents.append(running)
        return running

    async def kill_agent(self, peer: Peer) -> None:
        """Kills the agent of a peer that has one of its own.

        Raises:
            NotGivenError: There is none.
        """
        if peer.agent is None:
            raise NotGivenError("needs an agent that the kit may kill")
        await asyncio.to_thread(peer.agent.kill)

    async def close(self) -> None:
        """Ends everything that still runs."""
        tasks = [task for task in (self._shared, self._agent, *self._probes.values()) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(client.close() for client in self._clients))
        await asyncio.gather(*(process.kill() for process in self.processes))
        for agent in self._agents:
            await asyncio.to_thread(agent.kill)
