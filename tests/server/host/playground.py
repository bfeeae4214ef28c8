"""What the tests of the host have in common: hosts over hostile adapters, and conversations over these."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import statistics
import sys
import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mimic_server.domain.adapters import (
    AdapterEvent,
    AdapterState,
    AdapterStatus,
    CloseReason,
    MessageEvent,
    Open,
    OutgoingMessage,
    ReceiptEvent,
    Resume,
    TurnCompleteEvent,
)
from mimic_server.domain.agents import Connection, ConnectionSpec
from mimic_server.domain.errors import FaultError
from mimic_server.domain.faults import FaultSource
from mimic_server.domain.ids import ConnectionId, MessageId, SessionId
from mimic_server.domain.messages import Text
from mimic_server.domain.ports import Conversation, ConversationLost
from mimic_server.host import Launch, Limits, PluginHost

ROOT = Path(__file__).resolve().parents[3]
QUICK = Limits(
    start_seconds=10,
    call_seconds=5,
    open_seconds=5,
    close_seconds=5,
    ping_every_seconds=30,
    backoff_seconds=0.05,
    shutdown_seconds=3,
    terminate_seconds=3,
)
"""The limits of most tests: generous where a slow machine would fail, quick where a test has to wait."""

DEADLINE_SECONDS = 15.0

Hosts = Callable[..., PluginHost]


def write_adapters(directory: Path, names: Sequence[str]) -> None:
    """Makes executables by which a host finds hostile adapters of these behaviours."""
    for name in names:
        script = directory / f"mimic-adapter-{name}"
        main = ROOT / "tests/support/adapters/hostile/__main__.py"
        script.write_text(f"#!/bin/sh\nexec {sys.executable} {main} {name}\n")
        script.chmod(0o755)


def connection(channel: str, connection_id: uuid.UUID | None = None, **settings: Any) -> Connection:
    """A connection over a channel."""
    identity = ConnectionId(connection_id or uuid.uuid4())
    return Connection(identity, ConnectionSpec(channel=channel, settings=settings))


@dataclass
class Chat:
    """A conversation, driven as the turn loop would."""

    conversation: Conversation
    request: Open
    heard: list[AdapterEvent] = field(default_factory=list)
    said: list[MessageId] = field(default_factory=list)
    numbers: Any = field(default_factory=itertools.count)

    @classmethod
    async def open(
        cls,
        host: PluginHost,
        over: Connection,
        name: str = "Ann",
        *,
        session_id: uuid.UUID | None = None,
        resume: Resume | None = None,
        capture_raw: bool = False,
    ) -> Chat:
        identity = SessionId(session_id or uuid.uuid4())
        request = Open(identity, 1, over.id, name, "en", 7, capture_raw, resume)
        async with asyncio.timeout(DEADLINE_SECONDS):
            return cls(await host.open(over, request), request)

    def send(self, text: str, *, more: bool = False) -> MessageId:
        message_id = MessageId(f"{self.request.session_id.hex}:{next(self.numbers)}")
        self.conversation.send([OutgoingMessage(message_id, (Text(text),), more=more)])
        self.said.append(message_id)
        return message_id

    async def events(self) -> Sequence[AdapterEvent]:
        async with asyncio.timeout(DEADLINE_SECONDS):
            events = await self.conversation.events()
        self.conversation.ack(events[-1].seq)
        self.heard += events
        return events

    async def turn(self, text: str) -> list[AdapterEvent]:
        """Says something, and returns everything up to the end of the agent's turn."""
        self.send(text)
        events: list[AdapterEvent] = []
        while not any(isinstance(event, TurnCompleteEvent) for event in events):
            events += await self.events()
        return events

    async def say(self, text: str) -> str:
        """Says something, and returns the agent's answer."""
        return words(next(event for event in await self.turn(text) if isinstance(event, MessageEvent)))

    async def end(self) -> Exception:
        """Reads on until the conversation breaks, and returns how."""
        while True:
            try:
                await self.events()
            except (ConversationLost, FaultError) as error:
                return error

    async def violation(self) -> str:
        """Reads on until the conversation ends by a breach of the contract, and returns which."""
        error = await self.end()
        assert isinstance(error, FaultError), error
        assert (error.fault.source, error.fault.reason) == (FaultSource.ADAPTER, "CONTRACT_VIOLATION")
        return error.fault.message.partition("broke the contract: ")[2]

    def resume(self, stored: int) -> Resume:
        """What a journal resumes from that holds everything said, and the first events of what was heard."""
        known = self.heard[:stored]
        settled = [event.message_id for event in known if isinstance(event, ReceiptEvent)]
        return Resume(
            self.conversation.opened.epoch,
            max((event.seq for event in known), default=0),
            tuple(settled),
            tuple(message_id for message_id in self.said if message_id not in settled),
            answer_pending=False,
        )

    async def close(self) -> None:
        await self.conversation.close(CloseReason.DONE)


def words(event: MessageEvent) -> str:
    part = event.parts[0]
    assert isinstance(part, Text)
    return part.text


def status_of(host: PluginHost, channel: str) -> AdapterStatus:
    return next(status for status in host.statuses() if status.channel == channel)


async def until(host: PluginHost, channel: str, *states: AdapterState) -> AdapterStatus:
    """Waits until an adapter is in one of some states: each change of state is a line of its log."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        log = host.logs(channel, follow=True)
        async with contextlib.aclosing(log):  # type: ignore[type-var]
            async for _ in log:
                status = status_of(host, channel)
                if status.state in states:
                    return status
    raise AssertionError("the log ended")


async def logged(host: PluginHost, channel: str, text: str) -> str:
    """Waits for a line of an adapter's log."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        log = host.logs(channel, follow=True)
        async with contextlib.aclosing(log):  # type: ignore[type-var]
            async for line in log:
                if text in line.message:
                    return line.message
    raise AssertionError("the log ended")


@contextlib.asynccontextmanager
async def neighbour(host: PluginHost, over: Connection) -> AsyncIterator[list[float]]:
    """A conversation over a good adapter that goes on beside whatever happens, with normal latency.

    Yields:
        Seconds that each answer took.
    """
    chat = await Chat.open(host, over)
    took: list[float] = []
    over_now = asyncio.Event()

    async def go_on() -> None:
        while not over_now.is_set() or len(took) < 20:
            began = time.perf_counter()
            assert await chat.say("hello") == "hello"
            took.append(time.perf_counter() - began)
            await asyncio.sleep(0.005)

    task = asyncio.create_task(go_on())
    yield took
    over_now.set()
    async with asyncio.timeout(DEADLINE_SECONDS):
        await task
    await chat.close()
    assert statistics.median(took) < 0.1, took
    assert max(took) < 2, took


def launch(**environment: str) -> Launch:
    """How hostile adapters are launched."""
    return Launch(environment=environment)


def by_channel(names: Sequence[str], how: Launch) -> Mapping[str, Launch]:
    return dict.fromkeys(names, how)
