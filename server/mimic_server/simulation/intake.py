"""What an adapter tells of a conversation: stored, then acknowledged."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from mimic_server.domain.adapters import (
    AdapterEvent,
    ClosedBy,
    ClosedEvent,
    MessageEvent,
    RawEvent,
    ReceiptEvent,
    TurnCompleteEvent,
    TypingEvent,
)
from mimic_server.domain.errors import FaultError
from mimic_server.domain.faults import Fault, FaultSource
from mimic_server.domain.messages import Message, RawPayload, ReceiptStatus, Sender
from mimic_server.domain.ports import Conversation
from mimic_server.simulation.recorder import Recorder
from mimic_server.simulation.turn_taking import TurnTaking

OVERTAKEN = "CONVERSATION_ENDED"
"""Reason of a receipt that says that the conversation's end overtook the message: nothing went wrong."""


@dataclass(slots=True)
class _Batch:
    """What came together."""

    appended: list[Message] = field(default_factory=list)
    updated: dict[str, Message] = field(default_factory=dict)
    raw: list[RawPayload] = field(default_factory=list)
    fault: Fault | None = None


_RECEIPTS = (None, ReceiptStatus.SENT, ReceiptStatus.DELIVERED, ReceiptStatus.READ, ReceiptStatus.FAILED)


def _later(status: ReceiptStatus, known: ReceiptStatus | None) -> bool:
    """Whether a receipt says something new: a resumed stream repeats what was not acknowledged."""
    return _RECEIPTS.index(status) > _RECEIPTS.index(known)


def _platform_fault(event: ClosedEvent) -> Fault | None:
    if event.by is not ClosedBy.PLATFORM:
        return None
    reason = event.reason or "no reason was given"
    return Fault(FaultSource.CHANNEL, "PLATFORM_CLOSED", f"the platform ended it: {reason}")


class Intake:
    """Takes in one attempt's events.

    Attributes:
        turn: The turn under way; what comes belongs to it unless it says otherwise.
        turn_complete: The channel said that the turn is over.
        closed: The agent or the platform has ended the conversation. None: it has not.
    """

    def __init__(
        self,
        recorder: Recorder,
        taking: TurnTaking,
        *,
        hear: Callable[[Message], None],
        on_typing: Callable[[], None],
    ) -> None:
        """Makes one.

        Args:
            recorder: Where it is stored.
            taking: What learns the agent's pauses.
            hear: Called with each message of the agent once it is stored.
            on_typing: Called when the agent types.
        """
        self.turn = 0
        self.turn_complete = False
        self.closed: ClosedEvent | None = None
        self._recorder = recorder
        self._taking = taking
        self._hear = hear
        self._on_typing = on_typing
        self._time = asyncio.get_running_loop().time

    async def until(self, conversation: Conversation, deadline: float) -> bool:
        """Waits for events until a time of the event loop's, and takes them in. Returns False if none came.

        Raises:
            FaultError: A message could not be sent, or the platform ended the conversation by a fault.
            ConversationLost: The stream broke.
        """
        try:
            async with asyncio.timeout_at(deadline):
                events = await conversation.events()
        except TimeoutError:
            return False
        await self.take(conversation, events)
        return True

    async def take(self, conversation: Conversation, events: Sequence[AdapterEvent]) -> None:
        """Stores what came, then acknowledges it.

        Raises:
            FaultError: A message could not be sent, or the platform ended the conversation by a fault.
        """
        batch = _Batch()
        for event in events:
            self._note(event, batch)
        if batch.appended or batch.updated or batch.raw:
            await self._recorder.record(
                appended=batch.appended, updated=batch.updated.values(), raw=batch.raw
            )
            for message in batch.appended:
                self._hear(message)
            # No further than a resumption can ask from: what leaves no row may come again, and does no harm.
            if stored := [m.adapter_seq for m in (*batch.appended, *batch.updated.values())]:
                conversation.ack(max(stored))
        if batch.fault is not None:
            raise FaultError(batch.fault)

    def _note(self, event: AdapterEvent, batch: _Batch) -> None:
        """Takes up one event."""
        match event:
            case MessageEvent() if self._recorder.message(event.id) is None:
                batch.appended.append(self._heard(event))
            case ReceiptEvent():
                message = self._recorder.message(event.message_id)
                if message is not None and _later(event.status, message.receipt):
                    batch.updated[message.id] = self._recorder.with_receipt(message, event)
                    if event.fault is not None and event.fault.reason != OVERTAKEN:
                        batch.fault = event.fault
            case TypingEvent():
                self._taking.typing(self._time())
                self._on_typing()
            case TurnCompleteEvent():
                self.turn_complete = self._complete(event)
            case RawEvent():
                batch.raw.append(self._raw(event))
            case ClosedEvent():
                self.closed = event
                batch.fault = event.fault or batch.fault or _platform_fault(event)
            case _:
                pass

    def _complete(self, event: TurnCompleteEvent) -> bool:
        """Whether it is this turn that is complete, not an earlier one that had timed out."""
        answered = self._recorder.message(event.message_id) if event.message_id else None
        return answered is None or answered.turn == self.turn

    def _heard(self, event: MessageEvent) -> Message:
        answered = self._recorder.message(event.in_reply_to) if event.in_reply_to else None
        turn = answered.turn if answered is not None and answered.sender is Sender.PERSONA else self.turn
        if turn == self.turn and not event.deleted:
            self._taking.heard(event.first_byte, event.last_byte, self._time())
        return self._recorder.agent_message(event, turn)

    def _raw(self, event: RawEvent) -> RawPayload:
        session = self._recorder.session
        return RawPayload(
            session.id,
            session.attempts[-1].number,
            event.seq,
            event.to_agent,
            event.payload,
            event.time,
            event.label,
            event.fault,
        )
