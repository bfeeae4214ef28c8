"""A message to an echo adapter and back, beside a bare echo on grpc.aio."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import grpc
from mimic.adapter.v1 import message_pb2
from mimic_server.domain.adapters import CloseReason, Open, OutgoingMessage, TurnCompleteEvent
from mimic_server.domain.agents import Connection, ConnectionSpec
from mimic_server.domain.ids import ConnectionId, MessageId, SessionId, new_uuid
from mimic_server.domain.messages import Text
from mimic_server.domain.ports import Conversation
from mimic_server.host.host import PluginHost

from tests.benchmarks.bare_echo import METHOD
from tests.benchmarks.measure import CpuTime, Figure
from tests.support.processes import ROOT, python_service

STREAMS = 64
MESSAGES = 200
ROUNDS = 3
TEXT = "Where is my order 10482? It should have been here on Monday."

ECHO = ROOT / "examples" / "echo_adapter"


@dataclass(frozen=True)
class Cost:
    """What one message to and fro costs."""

    cpu_us: float
    wall_us: float


async def measure() -> Sequence[Figure]:
    """Rounds of both in turn; the cheapest round of each counts, since others use the machine too."""
    floors, hops = [], []
    for _ in range(ROUNDS):
        floors.append(await bare())
        hops.append(await hop())
    floor = min(floors, key=lambda cost: cost.cpu_us)
    value = min(hops, key=lambda cost: cost.cpu_us)
    detail = f"wall {value.wall_us:.0f} us beside {floor.wall_us:.0f} us; {STREAMS} sessions"
    return [Figure("adapter_hop", "us CPU a message", value.cpu_us, floor.cpu_us, 2.0, detail)]


async def bare() -> Cost:
    """The floor."""
    async with (
        python_service("tests.benchmarks.bare_echo") as service,
        grpc.aio.insecure_channel(service.url.removeprefix("http://")) as channel,
    ):
        call = channel.stream_stream(
            METHOD,
            request_serializer=message_pb2.Message.SerializeToString,
            response_deserializer=message_pb2.Message.FromString,
        )

        async def talk(number: int, messages: int) -> None:
            stream = call()
            for index in range(messages):
                part = message_pb2.Part(text=message_pb2.Text(text=TEXT))
                await stream.write(message_pb2.Message(id=f"{number}:{index}", parts=[part]))
                await stream.read()
            await stream.done_writing()

        await _all(talk, 5)
        cpu = CpuTime([service.process.pid], own=True)
        await _all(talk, MESSAGES)
        return _cost(cpu)


async def hop() -> Cost:
    """The same through host and SDK."""
    connection = Connection(ConnectionId(new_uuid()), ConnectionSpec(channel="echo", settings={}))
    async with PluginHost(directories=[Path(ECHO)]) as host:
        await host.connect(connection)
        pid = host.statuses()[[s.channel for s in host.statuses()].index("echo")].pid
        assert pid is not None
        conversations = [
            await host.open(connection, Open(SessionId(new_uuid()), 1, connection.id, "Maya", "en", 1))
            for _ in range(STREAMS)
        ]

        async def talk(number: int, messages: int) -> None:
            await _converse(conversations[number], messages)

        await _all(talk, 5)
        cpu = CpuTime([pid], own=True)
        await _all(talk, MESSAGES)
        cost = _cost(cpu)
        await asyncio.gather(*(c.close(CloseReason.DONE) for c in conversations))
        return cost


async def _converse(conversation: Conversation, messages: int) -> None:
    for _ in range(messages):
        conversation.send([OutgoingMessage(MessageId(new_uuid().hex), (Text(TEXT),))])
        complete = False
        while not complete:
            events = await conversation.events()
            complete = any(isinstance(event, TurnCompleteEvent) for event in events)
            conversation.ack(events[-1].seq)


async def _all(talk: Callable[[int, int], Awaitable[None]], messages: int) -> None:
    await asyncio.gather(*(talk(number, messages) for number in range(STREAMS)))


def _cost(cpu: CpuTime) -> Cost:
    count = STREAMS * MESSAGES
    return Cost(cpu.seconds() / count * 1e6, cpu.wall_seconds() / count * 1e6)
