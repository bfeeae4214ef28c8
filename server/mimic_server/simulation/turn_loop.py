"""The turn loop: plays one session, turn after turn, until its conversation is over.

The journal is ahead of the wire: a message is stored before it is sent, and an event is acknowledged after it
is stored. Whatever dies, the loop goes on from what is stored; where nobody can know whether a message was
sent, or an answer is lost for good, the attempt ends and another begins.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import takewhile

from mimic_server.domain.adapters import (
    AdapterEvent,
    ClosedBy,
    ClosedEvent,
    CloseReason,
    Manifest,
    MessageEvent,
    Open,
    OutgoingMessage,
    RawEvent,
    ReceiptEvent,
    Resume,
    TurnCompleteEvent,
    TypingEvent,
)
from mimic_server.domain.agents import Agent, Connection
from mimic_server.domain.control import Control, SpokenByPerson
from mimic_server.domain.errors import FaultError
from mimic_server.domain.faults import Fault, FaultSource
from mimic_server.domain.ids import persona_message_id
from mimic_server.domain.messages import (
    Message,
    RawPayload,
    ReceiptStatus,
    Sender,
    Stop,
    StopKind,
    Usage,
)
from mimic_server.domain.ports import Adapters, Conversation, ConversationLost, LanguageModel
from mimic_server.domain.sessions import Attempt, SessionState, TerminationReason
from mimic_server.simulation.recorder import Recorder
from mimic_server.simulation.simulator import UserSimulator
from mimic_server.simulation.turn_taking import TurnTaking
from mimic_server.simulation.typing_style import PlannedMessage

REOPEN_LIMIT_SECONDS = 60.0
"""How long a lost conversation is tried to be opened again: as long as an adapter keeps it."""

REPEATABLE = frozenset({FaultSource.ADAPTER, FaultSource.CHANNEL, FaultSource.MIMIC})
"""Faults after which another attempt may go better. The agent's are what we look for; the simulator tried."""

OVERTAKEN = "CONVERSATION_ENDED"
"""Reason of a receipt that says that the conversation's end overtook the message: nothing went wrong."""

_STOPS = {
    StopKind.GOALS_REACHED: TerminationReason.GOALS_REACHED,
    StopKind.STOP_CONDITION: TerminationReason.STOP_CONDITION,
}


@dataclass(frozen=True, slots=True)
class Ending:
    """Why a conversation ended."""

    reason: TerminationReason
    detail: str = ""
    fault: Fault | None = None


class AttemptFailedError(Exception):
    """An attempt cannot go on.

    Attributes:
        fault: Why, and whose fault it is.
        note: What is not known of the attempt.
    """

    def __init__(self, fault: Fault, note: str = "") -> None:
        super().__init__(fault.message)
        self.fault = fault
        self.note = note


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


class TurnLoop:
    """Plays one session. Made for one `play`."""

    def __init__(
        self,
        recorder: Recorder,
        agent: Agent,
        connection: Connection,
        *,
        adapters: Adapters,
        model: LanguageModel,
        control: Control,
        now: Callable[[], datetime],
        on_typing: Callable[[], None],
    ) -> None:
        self._recorder = recorder
        self._agent = agent
        self._connection = connection
        self._adapters = adapters
        self._model = model
        self._control = control
        self._now = now
        self._on_typing = on_typing
        self._time = asyncio.get_running_loop().time
        self._random = random.Random(recorder.session.seed)
        self._manifest: Manifest
        self._simulator: UserSimulator
        self._taking: TurnTaking
        self._turn = 0
        self._silent_turns = 0
        self._awaiting = False
        """The agent's turn is under way."""
        self._turn_complete = False
        self._stop: Stop | None = None
        self._closed: ClosedEvent | None = None
        self._handed: set[str] = set()
        """Ids of the messages that an adapter was given, as far as this process knows."""

    async def play(self) -> Ending:
        """Plays the session from what is stored of it until its conversation is over.

        Raises:
            asyncio.CancelledError: Whoever runs the loop lets go; the session may be resumed from its record.
            UnavailableError: The database cannot be written.
            NotFoundError: No adapter serves the channel.
        """
        attempt = self._recorder.session.attempt
        resuming = attempt is not None and attempt.ended_at is None
        failed: AttemptFailedError | None = None
        while True:
            try:
                if not resuming:
                    await self._begin_attempt(failed)
                return await self._attempt(resuming=resuming)
            except AttemptFailedError as error:
                failed = error
            except FaultError as error:
                failed = AttemptFailedError(error.fault)
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if not self._control.cancelled or task is None:
                    raise
                task.uncancel()
                return Ending(TerminationReason.CANCELLED)
            resuming = False
            number = len(self._recorder.session.attempts)
            if failed.fault.source not in REPEATABLE or number >= self._recorder.session.options.max_attempts:
                self._end_attempt(failed)
                return Ending(TerminationReason.FAULT, failed.fault.message, failed.fault)
            await self._pause(0.2 * 2**number * (0.5 + self._random.random()))

    # -- Attempts ------------------------------------------------------------------------------------------

    async def _begin_attempt(self, failed: AttemptFailedError | None) -> None:
        """Records the end of the attempt that failed, if one did, and the begin of the next."""
        attempts = self._ended_attempts(failed)
        number = len(attempts) + 1
        note = f"repeats attempt {number - 1}, which ended by a fault" if failed else ""
        self._recorder.begin_attempt()
        self._turn = self._silent_turns = 0
        self._awaiting = False
        self._stop = None
        self._closed = None
        self._handed.clear()
        session = self._recorder.change(
            state=SessionState.RUNNING,
            attempts=(*attempts, Attempt(number, self._now(), note=note)),
            started_at=self._recorder.session.started_at or self._now(),
            turns=0,
            message_count=0,
        )
        await self._recorder.record(session=session)

    def _ended_attempts(self, failed: AttemptFailedError | None) -> tuple[Attempt, ...]:
        attempts = self._recorder.session.attempts
        if failed is None or not attempts:
            return attempts
        last = attempts[-1]
        note = "; ".join(filter(None, (last.note, failed.note)))
        return (*attempts[:-1], replace(last, ended_at=self._now(), fault=failed.fault, note=note))

    def _end_attempt(self, failed: AttemptFailedError) -> None:
        self._recorder.change(attempts=self._ended_attempts(failed))

    async def _attempt(self, *, resuming: bool) -> Ending:
        """Plays one attempt, over as many streams as it takes."""
        self._manifest = await self._adapters.manifest(self._connection.spec.channel)
        capabilities = self._manifest.capabilities
        options = self._recorder.session.options
        quiet = self._manifest.turn_quiet.total_seconds()
        if options.turn_quiet_ms is not None:
            quiet = options.turn_quiet_ms / 1000
        self._taking = TurnTaking(
            quiet, options.turn_timeout_ms / 1000, channel_tells=capabilities.turn_complete
        )
        self._simulator = UserSimulator(
            self._recorder.session,
            self._agent.spec.name,
            self._agent.spec.description,
            capabilities,
            self._model,
        )
        source = FaultSource.MIMIC
        if resuming:
            self._recall()
            if not self._awaiting and (ending := self._ending()) is not None:
                return ending
        resumed = resuming
        while True:
            conversation = await self._open(resume=resumed, source=source)
            try:
                ending = await self._turns(conversation)
            except ConversationLost:
                conversation.abandon()
                resumed, source = True, FaultSource.ADAPTER
            except BaseException as error:
                if isinstance(error, asyncio.CancelledError) and not self._control.cancelled:
                    conversation.abandon()
                else:
                    reason = CloseReason.ABANDONED if isinstance(error, Exception) else CloseReason.CANCELLED
                    await asyncio.shield(conversation.close(reason))
                raise
            else:
                await conversation.close(CloseReason.DONE)
                return ending

    def _recall(self) -> None:
        """Takes up the attempt from its stored messages."""
        messages = self._recorder.messages
        for message in messages:
            self._simulator.hear(message)
        spoken = [m for m in messages if m.sender is Sender.PERSONA]
        self._turn = spoken[-1].turn if spoken else 0
        self._stop = spoken[-1].stop if spoken else None
        self._awaiting = bool(messages) and messages[-1].sender is Sender.PERSONA
        answered = {m.turn for m in messages if m.sender is Sender.AGENT}
        over = self._turn if not self._awaiting else self._turn - 1
        self._silent_turns = sum(1 for _ in takewhile(lambda turn: turn not in answered, range(over, 0, -1)))

    async def _open(self, *, resume: bool, source: FaultSource) -> Conversation:
        """Opens the conversation, again if it was lost.

        Raises:
            AttemptFailedError: It cannot go on, or cannot be opened in time.
        """
        conversation = await self._reach(resume=resume)
        channel = self._recorder.session.channel
        if resume and not conversation.opened.resumed:
            await conversation.close(CloseReason.ABANDONED)
            who = "the server stopped" if source is FaultSource.MIMIC else f"the {channel} adapter failed"
            fault = Fault(
                source,
                "CONVERSATION_NOT_RESUMABLE",
                f"{who} in the middle of the conversation, and the channel cannot take it up again",
            )
            raise AttemptFailedError(fault, self._unknown())
        await self._note_opened(conversation, resumed=resume)
        return conversation

    async def _reach(self, *, resume: bool) -> Conversation:
        """Opens the conversation as soon as the adapter can.

        Raises:
            AttemptFailedError: It cannot for too long.
        """
        channel = self._recorder.session.channel
        give_up = self._time() + REOPEN_LIMIT_SECONDS
        delay = 0.05
        while True:
            try:
                return await self._adapters.open(self._connection, self._request(resume=resume))
            except ConversationLost as lost:
                if self._time() + delay > give_up:
                    message = f"the {channel} adapter could not be reached: {lost.reason}"
                    remedy = f"look at its log: mimic adapters watch-logs --channel {channel}"
                    fault = Fault(FaultSource.ADAPTER, "ADAPTER_UNREACHABLE", message, remedy)
                    raise AttemptFailedError(fault, self._unknown() if resume else "") from None
            await self._pause(delay * (0.5 + self._random.random()))
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
        unsettled = self._unsettled()
        again = self._manifest.capabilities.idempotent_send and same_epoch
        to_send = (
            [m for m in unsettled if again or m.id not in self._handed] if resumed and same_epoch else []
        )
        if to_send:
            self._hand(conversation, to_send)

    def _request(self, *, resume: bool) -> Open:
        session = self._recorder.session
        attempt = session.attempts[-1]
        cursor = None
        if resume:
            spoken = [m for m in self._recorder.messages if m.sender is Sender.PERSONA]
            cursor = Resume(
                epoch=attempt.epoch,
                last_seq=max(
                    (m.adapter_seq for m in self._recorder.messages if m.seq > attempt.epoch_from), default=0
                ),
                settled_message_ids=tuple(m.id for m in spoken if m.receipt is not None),
                unsettled_message_ids=tuple(m.id for m in spoken if m.receipt is None),
                answer_pending=self._awaiting,
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

    def _unsettled(self) -> list[Message]:
        messages = self._recorder.messages
        return [m for m in messages if m.sender is Sender.PERSONA and m.receipt is None]

    def _unknown(self) -> str:
        """What is not known of the attempt."""
        if unsettled := self._unsettled():
            seqs = ", ".join(str(m.seq) for m in unsettled)
            return f"it is not known whether message {seqs} was sent"
        return "the agent's answer to the last message is not known" if self._awaiting else ""

    # -- Turns ---------------------------------------------------------------------------------------------

    async def _turns(self, conversation: Conversation) -> Ending:
        if self._awaiting:
            await self._agent_turn(conversation)
        elif not self._recorder.messages and self._manifest.capabilities.agent_speaks_first:
            await self._listen(conversation, self._taking.quiet)
        while (ending := self._ending()) is None:
            if self._control.human:
                await self._person_turn(conversation)
            else:
                await self._persona_turn(conversation)
            if self._awaiting:
                await self._agent_turn(conversation)
        return ending

    def _ending(self) -> Ending | None:
        """Why the conversation is over. Returns None if it goes on."""
        options = self._recorder.session.options
        # An agent that hangs up after the persona's goodbye has not ended the conversation.
        if self._stop is not None:
            detail = ": ".join(filter(None, (self._stop.condition, self._stop.why)))
            return Ending(_STOPS[self._stop.kind], detail)
        if self._closed is not None:
            return Ending(TerminationReason.AGENT_ENDED, self._closed.reason)
        if self._silent_turns >= options.max_silent_turns:
            return Ending(TerminationReason.AGENT_SILENT, f"{self._silent_turns} turns without an answer")
        if self._turn >= options.max_turns and not self._control.human:
            return Ending(TerminationReason.MAX_TURNS, f"{self._turn} turns")
        usage = self._recorder.session.usage
        spent = usage.prompt_tokens + usage.completion_tokens
        if options.max_tokens and spent >= options.max_tokens:
            return Ending(TerminationReason.BUDGET_SPENT, f"{spent} of {options.max_tokens} tokens")
        return None

    async def _persona_turn(self, conversation: Conversation) -> None:
        turn = self._turn + 1
        attempt = self._recorder.session.attempts[-1].number
        simulated = await self._simulator.next_turn(turn, attempt)
        await self._listen(conversation, 0)
        if self._closed is not None:
            return
        self._turn = turn
        self._stop = simulated.stop
        if not simulated.messages:
            await self._spend(simulated.usage)
            if self._stop is None:
                await self._listen(conversation, self._taking.quiet)
            return
        last = len(simulated.messages) - 1
        at_once: list[tuple[PlannedMessage, int]] = []
        for index, planned in enumerate(simulated.messages):
            at_once.append((planned, index))
            following = simulated.messages[index + 1] if index < last else None
            if following is None or following.delay_seconds > 0:
                await self._say(conversation, at_once, simulated.usage, more=following is not None)
                at_once = []

    async def _say(
        self,
        conversation: Conversation,
        planned: Sequence[tuple[PlannedMessage, int]],
        usage: Usage,
        *,
        more: bool,
    ) -> None:
        """Stores and sends messages of one turn that leave together, after the persona has typed them."""
        if (delay := planned[0][0].delay_seconds) > 0:
            conversation.typing()
            await self._listen(conversation, delay)
        session = self._recorder.session
        messages = []
        for message, index in planned:
            final = not more and message is planned[-1][0]
            messages.append(
                self._recorder.persona_message(
                    persona_message_id(session.id, session.attempts[-1].number, self._turn, index),
                    self._turn,
                    message.parts,
                    usage if index == 0 else None,
                    self._stop if final else None,
                )
            )
        first = planned[0][1] == 0
        session = self._recorder.change(
            turns=self._turn,
            message_count=len(self._recorder.messages),
            usage=session.usage + usage if first else session.usage,
        )
        await self._recorder.record(appended=messages, session=session)
        for said in messages:
            self._simulator.hear(said)
        self._hand(conversation, messages, more=more)
        self._awaiting = True

    def _hand(self, conversation: Conversation, messages: Sequence[Message], *, more: bool = False) -> None:
        last = messages[-1]
        self._handed.update(m.id for m in messages)
        conversation.send(
            [OutgoingMessage(m.id, m.parts, m.in_reply_to, more or m is not last) for m in messages]
        )

    async def _spend(self, usage: Usage) -> None:
        session = self._recorder.change(turns=self._turn, usage=self._recorder.session.usage + usage)
        await self._recorder.record(session=session)

    async def _agent_turn(self, conversation: Conversation) -> None:
        """Hears the agent out."""
        self._turn_complete = False
        self._taking.begin(self._time())
        while self._closed is None and not self._turn_complete:
            try:
                async with asyncio.timeout_at(self._taking.deadline()):
                    events = await conversation.events()
            except TimeoutError:
                break
            await self._take(conversation, events)
        self._awaiting = False
        self._silent_turns = 0 if self._taking.spoke else self._silent_turns + 1
        if self._closed is None and (unsettled := self._unsettled()):
            channel = self._recorder.session.channel
            message = f"the {channel} adapter never told whether message {unsettled[0].seq} was sent"
            raise AttemptFailedError(Fault(FaultSource.ADAPTER, "NO_RECEIPT", message), self._unknown())

    async def _listen(self, conversation: Conversation, seconds: float) -> None:
        """Takes in what the agent says within a time. With 0: what is there already."""
        until = self._time() + seconds
        while self._closed is None:
            try:
                async with asyncio.timeout_at(until):
                    events = await conversation.events()
            except TimeoutError:
                return
            await self._take(conversation, events)

    async def _take(self, conversation: Conversation, events: Sequence[AdapterEvent]) -> None:
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
                self._simulator.hear(message)
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
                self._turn_complete = self._complete(event)
            case RawEvent():
                batch.raw.append(self._raw(event))
            case ClosedEvent():
                self._closed = event
                batch.fault = event.fault or batch.fault or _platform_fault(event)
            case _:
                pass

    def _complete(self, event: TurnCompleteEvent) -> bool:
        """Whether it is this turn that is complete, not an earlier one that had timed out."""
        answered = self._recorder.message(event.message_id) if event.message_id else None
        return answered is None or answered.turn == self._turn

    def _heard(self, event: MessageEvent) -> Message:
        answered = self._recorder.message(event.in_reply_to) if event.in_reply_to else None
        turn = answered.turn if answered is not None and answered.sender is Sender.PERSONA else self._turn
        if turn == self._turn and not event.deleted:
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

    # -- A person in the persona's place -------------------------------------------------------------------

    async def _person_turn(self, conversation: Conversation) -> None:
        """Waits for what a person says, or for the persona to be handed back; hears the agent meanwhile."""
        while self._control.human and not self._control.spoken and self._closed is None:
            hearing = asyncio.ensure_future(conversation.events())
            change = asyncio.ensure_future(self._control.changed())
            try:
                await asyncio.wait({hearing, change}, return_when=asyncio.FIRST_COMPLETED)
                if hearing.done():
                    await self._take(conversation, hearing.result())
            finally:
                hearing.cancel()
                change.cancel()
        while self._control.spoken and self._closed is None:
            await self._relay(conversation, self._control.spoken.popleft())

    async def _relay(self, conversation: Conversation, spoken: SpokenByPerson) -> None:
        self._turn += 1
        message = self._recorder.persona_message(spoken.id, self._turn, spoken.parts, None, None)
        session = self._recorder.change(turns=self._turn, message_count=len(self._recorder.messages))
        try:
            await self._recorder.record(appended=[message], session=session)
        except BaseException as error:
            if not spoken.stored.done():
                spoken.stored.set_exception(
                    error if isinstance(error, Exception) else asyncio.CancelledError()
                )
            raise
        if not spoken.stored.done():
            spoken.stored.set_result(message)
        self._simulator.hear(message)
        self._hand(conversation, [message])
        self._awaiting = True

    async def _pause(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
