"""Opening a conversation, and going on with one whose stream broke."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace

from mimic_server.domain.adapters import CloseReason, Open, OutgoingMessage, Resume
from mimic_server.domain.agents import Connection
from mimic_server.domain.faults import Fault, FaultSource
from mimic_server.domain.messages import Message, Sender
from mimic_server.domain.ports import Adapters, Conversation, ConversationLost
from mimic_server.domain.sessions import SessionState
from mimic_server.simulation.endings import AttemptFailedError
from mimic_server.simulation.recorder import Recorder

REOPEN_LIMIT_SECONDS = 60.0
"""How long a lost conversation is tried to be opened again: as long as an adapter keeps it."""


class Opener:
    """Opens one attempt's conversation, as often as it takes, and knows what was handed to it."""

    def __init__(
        self, recorder: Recorder, connection: Connection, adapters: Adapters, *, idempotent: bool
    ) -> None:
        """Makes one.

        Args:
            recorder: What is stored of the session.
            connection: How the agent is reached.
            adapters: Over which adapters.
            idempotent: Whether the adapter takes a message again without sending it again.
        """
        self._recorder = recorder
        self._connection = connection
        self._adapters = adapters
        self._idempotent = idempotent
        self._random = random.Random(recorder.session.seed)
        self._time = asyncio.get_running_loop().time
        self._handed: set[str] = set()
        """Ids of the messages that an adapter was given, as far as this process knows."""

    async def open(self, *, resume: bool, answer_pending: bool, lost_by: FaultSource) -> Conversation:
        """Opens the conversation, again if it was lost.

        Args:
            resume: It goes on with what is stored.
            answer_pending: The agent owed an answer when the stream broke.
            lost_by: Whose fault it is if it cannot go on.

        Raises:
            AttemptFailedError: It cannot go on, or cannot be opened in time.
            FaultError: The adapter refuses.
        """
        conversation = await self._reach(self._request(resume=resume, answer_pending=answer_pending))
        if resume and not conversation.opened.resumed:
            await conversation.close(CloseReason.ABANDONED)
            channel = self._recorder.session.channel
            who = "the server stopped" if lost_by is FaultSource.MIMIC else f"the {channel} adapter failed"
            message = f"{who} in the middle of the conversation, and the channel cannot take it up again"
            fault = Fault(lost_by, "CONVERSATION_NOT_RESUMABLE", message)
            raise AttemptFailedError(fault, self.unknown(answer_pending=answer_pending))
        await self._note_opened(conversation, resumed=resume)
        return conversation

    def hand(self, conversation: Conversation, messages: Sequence[Message], *, more: bool = False) -> None:
        """Gives stored messages of one turn to the adapter.

        Args:
            conversation: Over which stream.
            messages: In order.
            more: Further messages of the turn follow.
        """
        last = messages[-1]
        self._handed.update(m.id for m in messages)
        conversation.send(
            [OutgoingMessage(m.id, m.parts, m.in_reply_to, more or m is not last) for m in messages]
        )

    def unsettled(self) -> list[Message]:
        """The persona's messages whose fate is not known."""
        messages = self._recorder.messages
        return [m for m in messages if m.sender is Sender.PERSONA and m.receipt is None]

    def unknown(self, *, answer_pending: bool) -> str:
        """What is not known of the attempt, for its record."""
        if unsettled := self.unsettled():
            seqs = ", ".join(str(m.seq) for m in unsettled)
            return f"it is not known whether message {seqs} was sent"
        return "the agent's answer to the last message is not known" if answer_pending else ""

    async def _reach(self, request: Open) -> Conversation:
        """Opens the conversation as soon as the adapter can.

        Raises:
            AttemptFailedError: It cannot for too long.
        """
        channel = self._recorder.session.channel
        give_up = self._time() + REOPEN_LIMIT_SECONDS
        delay = 0.05
        while True:
            try:
                return await self._adapters.open(self._connection, request)
            except ConversationLost as lost:
                if self._time() + delay > give_up:
                    message = f"the {channel} adapter could not be reached: {lost.reason}"
                    remedy = f"look at its log: mimic adapters watch-logs {channel}"
                    fault = Fault(FaultSource.ADAPTER, "ADAPTER_UNREACHABLE", message, remedy)
                    pending = request.resume is not None and request.resume.answer_pending
                    note = self.unknown(answer_pending=pending) if request.resume is not None else ""
                    raise AttemptFailedError(fault, note) from None
            await asyncio.sleep(delay * (0.5 + self._random.random()))
            delay = min(delay * 2, 5.0)

    async def _note_opened(self, conversation: Conversation, *, resumed: bool) -> None:
        attempts = self._recorder.session.attempts
        messages = self._recorder.messages
        same_epoch = attempts[-1].epoch == conversation.opened.epoch
        earlier = messages[-1].seq if messages else 0
        attempt = replace(
            attempts[-1],
            epoch=conversation.opened.epoch,
            epoch_from=attempts[-1].epoch_from if same_epoch else earlier,
            conversation_ref=conversation.opened.conversation_ref,
            resumptions=attempts[-1].resumptions + resumed,
        )
        session = self._recorder.change(state=SessionState.RUNNING, attempts=(*attempts[:-1], attempt))
        await self._recorder.record(session=session)
        if resumed and same_epoch:
            # What this process never handed over was surely not sent; the rest only where it does no harm.
            again = [m for m in self.unsettled() if self._idempotent or m.id not in self._handed]
            if again:
                self.hand(conversation, again)

    def _request(self, *, resume: bool, answer_pending: bool) -> Open:
        session = self._recorder.session
        attempt = session.attempts[-1]
        cursor = None
        if resume:
            messages = self._recorder.messages
            spoken = [m for m in messages if m.sender is Sender.PERSONA]
            cursor = Resume(
                epoch=attempt.epoch,
                last_seq=max((m.adapter_seq for m in messages if m.seq > attempt.epoch_from), default=0),
                settled_message_ids=tuple(m.id for m in spoken if m.receipt is not None),
                unsettled_message_ids=tuple(m.id for m in spoken if m.receipt is None),
                answer_pending=answer_pending,
            )
        return Open(
            session_id=session.id,
            attempt=attempt.number,
            connection_id=self._connection.id,
            display_name=session.persona.name,
            locale=session.persona.locale,
            seed=session.seed,
            capture_raw=session.options.capture_raw,
            resume=cursor,
        )
