"""The turn loop: plays one session, turn after turn, until its conversation is over.

The journal is ahead of the wire: a message is stored before it is sent, and an event is acknowledged after it
is stored. Whatever dies, the loop goes on from what is stored; where nobody can know whether a message was
sent, or an answer is lost for good, the attempt ends and another begins.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import takewhile

from mimic_server.domain.adapters import CloseReason, Manifest
from mimic_server.domain.agents import Agent, Connection
from mimic_server.domain.control import Control, SpokenByPerson
from mimic_server.domain.errors import FaultError
from mimic_server.domain.faults import Fault, FaultSource
from mimic_server.domain.ids import persona_message_id
from mimic_server.domain.messages import Sender, Stop, StopKind, Usage
from mimic_server.domain.ports import Adapters, Conversation, ConversationLost, LanguageModel
from mimic_server.domain.sessions import Attempt, SessionState, TerminationReason
from mimic_server.simulation.endings import AttemptFailedError, Ending, repeatable
from mimic_server.simulation.intake import Intake
from mimic_server.simulation.opening import Opener
from mimic_server.simulation.recorder import Recorder
from mimic_server.simulation.simulator import UserSimulator
from mimic_server.simulation.turn_taking import TurnTaking
from mimic_server.simulation.typing_style import PlannedMessage

_STOPS = {
    StopKind.GOALS_REACHED: TerminationReason.GOALS_REACHED,
    StopKind.STOP_CONDITION: TerminationReason.STOP_CONDITION,
}


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
                return await self._play_attempt(resuming=resuming)
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
            if not repeatable(failed.fault) or number >= self._recorder.session.options.max_attempts:
                self._recorder.change(attempts=self._ended_attempts(failed))
                return Ending(TerminationReason.FAULT, failed.fault.message, failed.fault)
            await asyncio.sleep(0.2 * 2**number * (0.5 + self._random.random()))

    async def _begin_attempt(self, failed: AttemptFailedError | None) -> None:
        """Records the end of the attempt that failed, if one did, and the begin of the next."""
        attempts = self._ended_attempts(failed)
        number = len(attempts) + 1
        note = f"repeats attempt {number - 1}, which ended by a fault" if failed else ""
        self._recorder.begin_attempt()
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

    async def _play_attempt(self, *, resuming: bool) -> Ending:
        """Plays one attempt, over as many streams as it takes."""
        manifest = await self._adapters.manifest(self._connection.spec.channel)
        opener = Opener(
            self._recorder,
            self._connection,
            self._adapters,
            idempotent=manifest.capabilities.idempotent_send,
        )
        turns = Turns(
            self._recorder,
            opener,
            self._control,
            manifest,
            UserSimulator(
                self._recorder.session,
                self._agent.spec.name,
                self._agent.spec.description,
                manifest.capabilities,
                self._model,
            ),
            on_typing=self._on_typing,
        )
        if resuming:
            turns.recall()
            if not turns.awaiting and (ending := turns.ending()) is not None:
                return ending
        resume, lost_by = resuming, FaultSource.MIMIC
        while True:
            conversation = await opener.open(resume=resume, answer_pending=turns.awaiting, lost_by=lost_by)
            try:
                ending = await turns.play(conversation)
            except ConversationLost:
                conversation.abandon()
                resume, lost_by = True, FaultSource.ADAPTER
            except asyncio.CancelledError:
                if self._control.cancelled:
                    await asyncio.shield(conversation.close(CloseReason.CANCELLED))
                else:
                    conversation.abandon()
                raise
            except Exception:
                await asyncio.shield(conversation.close(CloseReason.ABANDONED))
                raise
            else:
                await conversation.close(CloseReason.DONE)
                return ending


class Turns:
    """The turns of one attempt.

    Attributes:
        awaiting: The agent's turn is under way.
    """

    def __init__(
        self,
        recorder: Recorder,
        opener: Opener,
        control: Control,
        manifest: Manifest,
        simulator: UserSimulator,
        *,
        on_typing: Callable[[], None],
    ) -> None:
        options = recorder.session.options
        quiet = manifest.turn_quiet.total_seconds()
        if options.turn_quiet_ms is not None:
            quiet = options.turn_quiet_ms / 1000
        self.awaiting = False
        self._recorder = recorder
        self._opener = opener
        self._control = control
        self._capabilities = manifest.capabilities
        self._simulator = simulator
        self._taking = TurnTaking(
            quiet, options.turn_timeout_ms / 1000, channel_tells=manifest.capabilities.turn_complete
        )
        self._intake = Intake(recorder, self._taking, hear=simulator.hear, on_typing=on_typing)
        self._time = asyncio.get_running_loop().time
        self._silent_turns = 0
        self._stop: Stop | None = None

    def recall(self) -> None:
        """Takes up the attempt from its stored messages."""
        messages = self._recorder.messages
        for message in messages:
            self._simulator.hear(message)
        spoken = [m for m in messages if m.sender is Sender.PERSONA]
        turn = self._intake.turn = spoken[-1].turn if spoken else 0
        self._stop = spoken[-1].stop if spoken else None
        self.awaiting = bool(messages) and messages[-1].sender is Sender.PERSONA
        answered = {m.turn for m in messages if m.sender is Sender.AGENT}
        over = turn - 1 if self.awaiting else turn
        self._silent_turns = sum(1 for _ in takewhile(lambda turn: turn not in answered, range(over, 0, -1)))

    async def play(self, conversation: Conversation) -> Ending:
        """Plays turns over one stream until the conversation is over.

        Raises:
            ConversationLost: The stream broke; `play` may go on over another.
            AttemptFailedError: The attempt cannot go on.
            FaultError: Something failed, and whose fault it is is known.
        """
        if self.awaiting:
            await self._agent_turn(conversation)
        elif not self._recorder.messages and self._capabilities.agent_speaks_first:
            await self._listen(conversation, self._taking.quiet)
        while (ending := self.ending()) is None:
            if self._control.human:
                await self._person_turn(conversation)
            else:
                await self._persona_turn(conversation)
            if self.awaiting:
                await self._agent_turn(conversation)
        return ending

    def ending(self) -> Ending | None:
        """Why the conversation is over. Returns None if it goes on."""
        options = self._recorder.session.options
        # An agent that hangs up after the persona's goodbye has not ended the conversation.
        if self._stop is not None:
            detail = ": ".join(filter(None, (self._stop.condition, self._stop.why)))
            return Ending(_STOPS[self._stop.kind], detail)
        if self._intake.closed is not None:
            return Ending(TerminationReason.AGENT_ENDED, self._intake.closed.reason)
        if self._silent_turns >= options.max_silent_turns:
            return Ending(TerminationReason.AGENT_SILENT, f"{self._silent_turns} turns without an answer")
        if self._intake.turn >= options.max_turns and not self._control.human:
            return Ending(TerminationReason.MAX_TURNS, f"{self._intake.turn} turns")
        usage = self._recorder.session.usage
        spent = usage.prompt_tokens + usage.completion_tokens
        if options.max_tokens and spent >= options.max_tokens:
            return Ending(TerminationReason.BUDGET_SPENT, f"{spent} of {options.max_tokens} tokens")
        return None

    # -- The persona ---------------------------------------------------------------------------------------

    async def _persona_turn(self, conversation: Conversation) -> None:
        turn = self._intake.turn + 1
        simulated = await self._simulator.next_turn(turn, self._recorder.session.attempts[-1].number)
        await self._listen(conversation, 0)
        if self._intake.closed is not None:
            return
        self._intake.turn = turn
        self._stop = simulated.stop
        if not simulated.messages:
            await self._pass(conversation, simulated.usage)
            return
        last = len(simulated.messages) - 1
        together: list[tuple[PlannedMessage, int]] = []
        for index, planned in enumerate(simulated.messages):
            together.append((planned, index))
            following = simulated.messages[index + 1] if index < last else None
            if following is None or following.delay_seconds > 0:
                await self._say(conversation, together, simulated.usage, more=following is not None)
                together = []

    async def _pass(self, conversation: Conversation, usage: Usage) -> None:
        """Lets the turn pass."""
        session = self._recorder.change(turns=self._intake.turn, usage=self._recorder.session.usage + usage)
        await self._recorder.record(session=session)
        if self._stop is None:
            await self._listen(conversation, self._taking.quiet)

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
        turn, session = self._intake.turn, self._recorder.session
        messages = []
        for message, index in planned:
            final = not more and message is planned[-1][0]
            messages.append(
                self._recorder.persona_message(
                    persona_message_id(session.id, session.attempts[-1].number, turn, index),
                    turn,
                    message.parts,
                    usage if index == 0 else None,
                    self._stop if final else None,
                )
            )
        first = planned[0][1] == 0
        session = self._recorder.change(
            turns=turn,
            message_count=len(self._recorder.messages),
            usage=session.usage + usage if first else session.usage,
        )
        await self._recorder.record(appended=messages, session=session)
        for said in messages:
            self._simulator.hear(said)
        self.awaiting = True
        self._opener.hand(conversation, messages, more=more)

    # -- The agent -----------------------------------------------------------------------------------------

    async def _agent_turn(self, conversation: Conversation) -> None:
        """Hears the agent out."""
        intake = self._intake
        intake.turn_complete = False
        self._taking.begin(self._time())
        while intake.closed is None and not intake.turn_complete:
            if not await intake.until(conversation, self._taking.deadline()):
                break
        # A message may wait behind one that the agent still owes an answer to: the agent is silent, then.
        owed = self._silent_turns > 0
        if intake.closed is None and not owed and (unsettled := self._opener.unsettled()):
            channel = self._recorder.session.channel
            message = f"the {channel} adapter never told whether message {unsettled[0].seq} was sent"
            fault = Fault(FaultSource.ADAPTER, "NO_RECEIPT", message)
            raise AttemptFailedError(fault, self._opener.unknown(answer_pending=True))
        self.awaiting = False
        self._silent_turns = 0 if self._taking.spoke else self._silent_turns + 1

    async def _listen(self, conversation: Conversation, seconds: float) -> None:
        """Takes in what the agent says within a time. With 0: what is there already."""
        until = self._time() + seconds
        while self._intake.closed is None and await self._intake.until(conversation, until):
            pass

    # -- A person in the persona's place -------------------------------------------------------------------

    async def _person_turn(self, conversation: Conversation) -> None:
        """Waits for what a person says, or for the persona to be handed back; hears the agent meanwhile."""
        while self._control.human and not self._control.spoken and self._intake.closed is None:
            hearing = asyncio.ensure_future(conversation.events())
            change = asyncio.ensure_future(self._control.changed())
            try:
                await asyncio.wait({hearing, change}, return_when=asyncio.FIRST_COMPLETED)
                if hearing.done():
                    await self._intake.take(conversation, hearing.result())
            finally:
                hearing.cancel()
                change.cancel()
        while self._control.spoken and self._intake.closed is None:
            await self._relay(conversation, self._control.spoken.popleft())

    async def _relay(self, conversation: Conversation, spoken: SpokenByPerson) -> None:
        turn = self._intake.turn = self._intake.turn + 1
        message = self._recorder.persona_message(spoken.id, turn, spoken.parts, None, None)
        session = self._recorder.change(turns=turn, message_count=len(self._recorder.messages))
        try:
            await self._recorder.record(appended=[message], session=session)
        except BaseException as error:
            if isinstance(error, Exception) and not spoken.stored.done():
                spoken.stored.set_exception(error)
            else:
                spoken.stored.cancel()
            raise
        if not spoken.stored.done():
            spoken.stored.set_result(message)
        self._simulator.hear(message)
        self.awaiting = True
        self._opener.hand(conversation, [message])
