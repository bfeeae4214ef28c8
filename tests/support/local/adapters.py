"""An adapter in the same process, whose agent is a function: speaks the port `Adapters` as the host does."""

import asyncio
import itertools
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from mimic_server.domain.adapters import (
    AdapterEvent,
    AdapterLogLine,
    AdapterStatus,
    Capabilities,
    ClosedBy,
    ClosedEvent,
    CloseReason,
    Connected,
    ConnectionState,
    ConnectionStatus,
    Manifest,
    MessageEvent,
    Open,
    Opened,
    OutgoingMessage,
    ReceiptEvent,
    TurnCompleteEvent,
    TypingEvent,
)
from mimic_server.domain.agents import Connection, Mode
from mimic_server.domain.errors import NotFoundError
from mimic_server.domain.faults import Fault
from mimic_server.domain.ids import MessageId, SessionId
from mimic_server.domain.messages import ReceiptStatus, Text, WireTime
from mimic_server.domain.ports import ConversationLost


class LocalConversation:
    """Implements `Conversation`; the agent's side calls `sent`, `reply` and the like."""

    def __init__(self, adapters: "LocalAdapters", request: Open, opened: Opened) -> None:
        self._adapters = adapters
        self.request = request
        self._opened = opened
        # Events are numbered within the attempt and the epoch, over all streams.
        self._seqs = adapters.seqs[request.attempt, opened.epoch]
        self._waiting: list[AdapterEvent] = []
        self._woken = asyncio.Event()
        self._error: Exception | None = None
        self.received: list[OutgoingMessage] = []
        self.acked = 0
        self.closed: CloseReason | None = None
        self.abandoned = False
        self.typed = 0

    @property
    def opened(self) -> Opened:
        """What the adapter answered."""
        return self._opened

    def send(self, messages: Sequence[OutgoingMessage]) -> None:
        """Gives each message to the agent."""
        for message in messages:
            self.received.append(message)
            self._adapters.said.append((self.request.attempt, message))
            task = asyncio.ensure_future(self._adapters.agent(self, message))
            self._adapters.tasks.add(task)
            task.add_done_callback(self._adapters.tasks.discard)

    def typing(self) -> None:
        """Counts."""
        self.typed += 1

    def read(self, message_id: str) -> None:
        """Nothing."""

    def ack(self, seq: int) -> None:
        """Remembers."""
        assert seq >= self.acked
        self.acked = seq

    async def events(self) -> Sequence[AdapterEvent]:
        """What the agent did."""
        while not self._waiting:
            if self._error is not None:
                raise self._error
            self._woken.clear()
            await self._woken.wait()
        events, self._waiting = self._waiting, []
        return events

    async def close(self, reason: CloseReason) -> None:
        """Remembers."""
        self.closed = self.closed or reason

    def abandon(self) -> None:
        """Remembers."""
        self.abandoned = True

    # -- The agent's side ----------------------------------------------------------------------------------

    def _emit(self, event: AdapterEvent) -> None:
        self._waiting.append(event)
        self._woken.set()

    def _now(self) -> WireTime:
        return WireTime(time.time_ns(), time.monotonic_ns(), self._opened.epoch)

    def sent(self, message: OutgoingMessage, status: ReceiptStatus = ReceiptStatus.SENT) -> None:
        """Tells what became of a message."""
        self._emit(ReceiptEvent(next(self._seqs), message.id, status, self._now()))

    def failed(self, message: OutgoingMessage, fault: Fault) -> None:
        """Tells that a message was not sent."""
        self._emit(ReceiptEvent(next(self._seqs), message.id, ReceiptStatus.FAILED, self._now(), fault))

    def reply(self, text: str, **fields: Any) -> str:
        """Says something."""
        seq = next(self._seqs)
        now = self._now()
        event = MessageEvent(seq, MessageId(f"agent-{self._opened.epoch}-{seq}"), (Text(text),), now, now)
        for name, value in fields.items():
            object.__setattr__(event, name, value)
        self._emit(event)
        return event.id

    def type(self) -> None:
        """Types."""
        self._emit(TypingEvent(next(self._seqs)))

    def complete(self, message_id: str = "") -> None:
        """Has finished."""
        self._emit(TurnCompleteEvent(next(self._seqs), message_id))

    def hang_up(self, by: ClosedBy = ClosedBy.AGENT, reason: str = "", fault: Fault | None = None) -> None:
        """Ends the conversation."""
        self._emit(ClosedEvent(next(self._seqs), by, reason, fault))

    def break_off(self, error: Exception | None = None) -> None:
        """Breaks the stream."""
        self._error = error or ConversationLost("the adapter died")
        self._woken.set()


Agent = Callable[[LocalConversation, OutgoingMessage], Awaitable[None]]


async def echo(conversation: LocalConversation, message: OutgoingMessage) -> None:
    """An agent that repeats what it hears."""
    conversation.sent(message)
    conversation.reply(f"you said: {getattr(message.parts[0], 'text', '?')}")
    if not message.more:
        conversation.complete()


class LocalAdapters:
    """Implements `Adapters` for one channel, `local`."""

    def __init__(self, agent: Agent = echo, **capabilities: Any) -> None:
        self.agent = agent
        self.capabilities = Capabilities(**{"turn_complete": True, **capabilities})
        self.turn_quiet = timedelta(milliseconds=50)
        self.conversations: list[LocalConversation] = []
        self.said: list[tuple[int, OutgoingMessage]] = []
        self.tasks: set[asyncio.Future[None]] = set()
        self.seqs: dict[tuple[int, str], itertools.count[int]] = defaultdict(lambda: itertools.count(1))
        self.epoch = "epoch-1"
        self.resumed = True
        self.refusals: list[Exception] = []
        self.on_open: Callable[[LocalConversation], None] = lambda _: None

    async def manifest(self, channel: str) -> Manifest:
        """The manifest of `local`."""
        if channel != "local":
            raise NotFoundError("adapter", channel)
        return Manifest(
            "local",
            "1",
            "local",
            "in this process",
            (Mode.LIVE,),
            self.capabilities,
            "{}",
            (),
            self.turn_quiet,
        )

    async def open(self, connection: Connection, request: Open) -> LocalConversation:
        """A conversation with the agent."""
        if self.refusals:
            raise self.refusals.pop(0)
        resumed = request.resume is not None and self.resumed
        conversation = LocalConversation(self, request, Opened(self.epoch, f"ref-{request.attempt}", resumed))
        self.conversations.append(conversation)
        self.on_open(conversation)
        return conversation

    async def connect(self, connection: Connection) -> Connected:
        """Always up."""
        return Connected(await self.check(connection))

    async def check(self, connection: Connection) -> ConnectionStatus:
        """Always up."""
        return ConnectionStatus(connection.id, ConnectionState.READY)

    async def disconnect(self, channel: str, connection_id: UUID) -> None:
        """Nothing to take down."""

    async def media(self, channel: str, session_id: SessionId, media_id: str) -> bytes:
        """None."""
        raise NotFoundError("media", media_id)

    def statuses(self) -> Sequence[AdapterStatus]:
        """None."""
        return []

    async def restart(self, channel: str) -> AdapterStatus:
        """There is nothing to restart."""
        raise NotFoundError("adapter", channel)

    async def set_enabled(self, channel: str, *, enabled: bool) -> AdapterStatus:
        """There is nothing to switch."""
        raise NotFoundError("adapter", channel)

    def logs(self, channel: str, *, follow: bool, level: str = "trace") -> AsyncIterator[AdapterLogLine]:
        """There is no log."""
        raise NotFoundError("adapter", channel)
