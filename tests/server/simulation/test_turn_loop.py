import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from mimic_server.domain.adapters import ClosedBy, CloseReason, OutgoingMessage
from mimic_server.domain.agents import Agent, AgentSpec, Connection, ConnectionSpec
from mimic_server.domain.control import Control, SpokenByPerson
from mimic_server.domain.errors import FaultError, UnavailableError
from mimic_server.domain.faults import Fault, FaultSource
from mimic_server.domain.ids import (
    AgentId,
    ConnectionId,
    MessageId,
    PersonaId,
    SessionId,
    TeamId,
    new_uuid,
)
from mimic_server.domain.messages import Message, ReceiptStatus, Sender, Text
from mimic_server.domain.personas import PersonaSpec
from mimic_server.domain.sessions import Session, SessionOptions, SessionState, TerminationReason
from mimic_server.simulation.endings import Ending
from mimic_server.simulation.recorder import Recorder
from mimic_server.simulation.turn_loop import TurnLoop

from tests.support.local.adapters import LocalAdapters, LocalConversation, echo
from tests.support.local.journal import LocalJournal
from tests.support.local.model import ListedModel, says, stops


def now() -> datetime:
    return datetime.now(UTC)


class Stage:
    """A session, and all that it is played with."""

    def __init__(self, adapters: LocalAdapters, answers: Any, **options: Any) -> None:
        self.adapters = adapters
        self.model = ListedModel(answers)
        self.journal = LocalJournal()
        self.control = Control()
        self.published: list[tuple[int, Any]] = []
        connection = Connection(ConnectionId(new_uuid()), ConnectionSpec(channel="local", settings={}))
        self.agent = Agent(
            AgentId(new_uuid()), TeamId(new_uuid()), AgentSpec(name="Agent"), now(), now(), (connection,)
        )
        self.session = Session(
            id=SessionId(new_uuid()),
            team_id=self.agent.team_id,
            agent_id=self.agent.id,
            connection_id=connection.id,
            persona_id=PersonaId(new_uuid()),
            persona=PersonaSpec(name="Maya", goals=("a refund",), stop_conditions=("It is rude",)),
            options=SessionOptions(**{"turn_timeout_ms": 5000, **options}),
            state=SessionState.CREATED,
            created_at=now(),
            updated_at=now(),
            channel="local",
        )

    async def play(self, stored: Sequence[Message] = ()) -> Ending:
        recorder = Recorder(
            self.session, stored, self.journal, lambda rev, item: self.published.append((rev, item)), now
        )
        self.control.attach(recorder.apply)
        self.control.task = asyncio.current_task()
        loop = TurnLoop(
            recorder,
            self.agent,
            self.agent.connections[0],
            adapters=self.adapters,
            model=self.model,
            control=self.control,
            now=now,
            on_typing=lambda: None,
        )
        try:
            return await loop.play()
        finally:
            self.session = recorder.session

    def texts(self) -> list[str]:
        return [m.text for m in self.journal.messages]


async def test_a_conversation_is_stored_in_order_and_ends_with_the_goals_reached() -> None:
    stage = Stage(LocalAdapters(), [says("hi", "are you there?"), stops("thanks")])
    ending = await stage.play()
    assert ending.reason is TerminationReason.GOALS_REACHED
    assert stage.texts() == [
        "hi",
        "are you there?",
        "you said: hi",
        "you said: are you there?",
        "thanks",
        "you said: thanks",
    ]
    messages = stage.journal.messages
    assert [m.seq for m in messages] == [1, 2, 3, 4, 5, 6]
    assert [m.turn for m in messages] == [1, 1, 1, 1, 2, 2]
    assert all(m.receipt is ReceiptStatus.SENT for m in messages if m.sender is Sender.PERSONA)
    assert stage.session.usage.calls == 2
    assert stage.adapters.conversations[0].closed is CloseReason.DONE
    assert [m.more for m in stage.adapters.conversations[0].received] == [True, False, False]


async def test_nothing_is_sent_before_it_is_stored() -> None:
    stage = Stage(LocalAdapters(), [stops("hi")])
    stored_when_sent: list[list[str]] = []

    async def agent(conversation: LocalConversation, message: OutgoingMessage) -> None:
        stored_when_sent.append(stage.texts())
        await echo(conversation, message)

    stage.adapters.agent = agent
    await stage.play()
    assert stored_when_sent == [["hi"]]


async def test_events_are_acknowledged_once_they_are_stored() -> None:
    stage = Stage(LocalAdapters(), [stops("hi")])
    playing = asyncio.ensure_future(stage.play())
    await until(lambda: bool(stage.adapters.conversations))
    stage.journal.gate.clear()
    conversation = stage.adapters.conversations[0]
    stage.journal.gate.set()
    await playing
    assert conversation.acked == 2, "the end of a turn leaves no row, so it may come again"


async def test_watchers_hear_of_everything_in_order_after_it_is_stored() -> None:
    stage = Stage(LocalAdapters(), [says("hi"), stops("bye")])
    await stage.play()
    revs = [rev for rev, _ in stage.published]
    assert revs == sorted(revs)
    assert len(set(revs)) == len(revs)
    assert revs[-1] == max(m.rev for m in stage.journal.messages)


@pytest.mark.parametrize(
    "options,answers,reason",
    [
        ({"max_turns": 2}, lambda _: says("more"), TerminationReason.MAX_TURNS),
        ({"max_tokens": 150}, lambda _: says("more"), TerminationReason.BUDGET_SPENT),
        (
            {},
            [stops("bye", reason="stop_condition", condition="it is rude")],
            TerminationReason.STOP_CONDITION,
        ),
    ],
)
async def test_why_it_ends(options: dict[str, Any], answers: Any, reason: TerminationReason) -> None:
    stage = Stage(LocalAdapters(), answers, **options)
    ending = await stage.play()
    assert ending.reason is reason


async def test_which_stop_condition_and_why_is_told() -> None:
    stage = Stage(LocalAdapters(), [stops("bye", reason="stop_condition", condition="it is rude")])
    ending = await stage.play()
    assert ending.detail == "It is rude: it is done"


async def test_a_silent_agent_is_no_error_and_ends_the_session_past_its_limit() -> None:
    async def silent(conversation: LocalConversation, message: OutgoingMessage) -> None:
        conversation.sent(message)

    stage = Stage(LocalAdapters(silent), lambda _: says("hello?"), turn_timeout_ms=100, max_silent_turns=3)
    ending = await stage.play()
    assert ending.reason is TerminationReason.AGENT_SILENT
    assert ending.fault is None
    assert stage.session.turns == 3


async def test_the_agent_hangs_up() -> None:
    async def rude(conversation: LocalConversation, message: OutgoingMessage) -> None:
        conversation.sent(message)
        conversation.reply("bye")
        conversation.hang_up(reason="the agent left")

    stage = Stage(LocalAdapters(rude), lambda _: says("hello?"))
    ending = await stage.play()
    assert (ending.reason, ending.detail) == (TerminationReason.AGENT_ENDED, "the agent left")
    assert stage.texts() == ["hello?", "bye"]


async def test_quiet_ends_a_turn_and_typing_extends_it() -> None:
    heard = asyncio.Event()

    async def typist(conversation: LocalConversation, message: OutgoingMessage) -> None:
        conversation.sent(message)
        conversation.reply("one")
        for _ in range(4):
            await asyncio.sleep(0.04)
            conversation.type()
        conversation.reply("two")
        heard.set()

    stage = Stage(LocalAdapters(typist, turn_complete=False), [says("hi"), stops()])
    await stage.play()
    assert heard.is_set()
    assert stage.texts() == ["hi", "one", "two"]
    assert [m.turn for m in stage.journal.messages] == [1, 1, 1]


FAULTS = [(FaultSource.CHANNEL, 3), (FaultSource.ADAPTER, 3), (FaultSource.AGENT, 1)]


@pytest.mark.parametrize("source,attempts", FAULTS)
async def test_a_failed_send_is_repeated_as_a_new_attempt_unless_it_is_the_agents_fault(
    source: FaultSource, attempts: int
) -> None:
    async def broken(conversation: LocalConversation, message: OutgoingMessage) -> None:
        conversation.failed(message, Fault(source, "BROKEN", "it broke"))

    stage = Stage(LocalAdapters(broken), lambda _: says("hi"))
    ending = await stage.play()
    assert ending.reason is TerminationReason.FAULT
    assert ending.fault == Fault(source, "BROKEN", "it broke")
    assert len(stage.session.attempts) == attempts
    assert all(a.fault is not None and a.ended_at is not None for a in stage.session.attempts)
    ids = [message.id for _, message in stage.adapters.said]
    assert len(set(ids)) == len(ids)


async def test_a_fault_of_the_simulator_ends_the_session_at_once() -> None:
    fault = Fault(FaultSource.SIMULATOR, "MODEL_REFUSED", "the model refused")
    stage = Stage(LocalAdapters(), [says("hi"), FaultError(fault)])
    ending = await stage.play()
    assert (ending.reason, ending.fault) == (TerminationReason.FAULT, fault)
    assert len(stage.session.attempts) == 1
    assert stage.adapters.conversations[0].closed is CloseReason.ABANDONED


async def test_a_lost_stream_is_resumed_and_only_what_was_never_handed_over_is_sent() -> None:
    def break_once(conversation: LocalConversation) -> None:
        if conversation.request.resume is None:
            return
        # What the broken stream could not tell any more.
        for message in stage.adapters.conversations[0].received:
            conversation.sent(message)
        conversation.reply("welcome back")
        conversation.complete()

    async def agent(conversation: LocalConversation, message: OutgoingMessage) -> None:
        if len(stage.adapters.said) == 1:
            conversation.break_off()
        else:
            await echo(conversation, message)

    stage = Stage(LocalAdapters(agent), [says("hi"), stops("bye")])
    stage.adapters.on_open = break_once
    ending = await stage.play()
    assert ending.reason is TerminationReason.GOALS_REACHED
    assert stage.texts() == ["hi", "welcome back", "bye", "you said: bye"]
    assert len(stage.session.attempts) == 1
    assert stage.session.attempts[0].resumptions == 1
    resume = stage.adapters.conversations[1].request.resume
    assert resume is not None
    assert resume.answer_pending
    assert [*resume.unsettled_message_ids] == [stage.adapters.said[0][1].id]
    assert [message.id for _, message in stage.adapters.said].count(stage.adapters.said[0][1].id) == 1


async def test_an_idempotent_adapter_of_the_same_epoch_gets_an_unsettled_message_again() -> None:
    async def agent(conversation: LocalConversation, message: OutgoingMessage) -> None:
        if len(stage.adapters.said) == 1:
            conversation.break_off()
        else:
            await echo(conversation, message)

    stage = Stage(LocalAdapters(agent, idempotent_send=True), [stops("hi")])
    ending = await stage.play()
    assert ending.reason is TerminationReason.GOALS_REACHED
    assert [message.id for _, message in stage.adapters.said] == [stage.adapters.said[0][1].id] * 2
    assert stage.texts() == ["hi", "you said: hi"]


async def test_what_cannot_be_resumed_is_a_new_attempt_and_both_say_so() -> None:
    async def agent(conversation: LocalConversation, message: OutgoingMessage) -> None:
        if conversation.request.attempt == 1:
            conversation.break_off()
        else:
            await echo(conversation, message)

    stage = Stage(LocalAdapters(agent), lambda _: stops("hi"))
    stage.adapters.resumed = False
    ending = await stage.play()
    assert ending.reason is TerminationReason.GOALS_REACHED
    first, second = stage.session.attempts
    assert first.fault is not None
    assert first.fault.source is FaultSource.ADAPTER
    assert first.note == "it is not known whether message 1 was sent"
    assert second.note == "repeats attempt 1, which ended by a fault"
    assert second.fault is None
    assert [m.attempt for m in stage.journal.messages] == [1, 2, 2]


async def until(holds: Callable[[], bool]) -> None:
    """Lets the others run, one step of the event loop at a time, until something holds."""
    while not holds():  # noqa: ASYNC110 - no time passes
        await asyncio.sleep(0)


async def interrupted(stage: Stage, when: Callable[[], bool]) -> None:
    """Plays a session until something holds, then lets go of it as a dying server would."""
    playing = asyncio.ensure_future(stage.play())
    await until(when)
    playing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await playing


async def test_a_session_goes_on_from_its_record_after_the_server_died_between_turns() -> None:
    thinking = asyncio.Event()
    stage = Stage(LocalAdapters(), [says("hi"), says("never said")])
    first = stage.model.answer

    async def slow(task: Any) -> Any:
        if stage.model.tasks:
            thinking.set()
            await asyncio.Event().wait()
        return await first(task)

    stage.model.answer = slow  # type: ignore[method-assign]
    await interrupted(stage, thinking.is_set)
    assert stage.adapters.conversations[0].abandoned
    stage.session = stage.journal.session
    stage.model = ListedModel([stops("bye")])
    ending = await stage.play(stage.journal.messages)
    assert ending.reason is TerminationReason.GOALS_REACHED
    assert stage.texts() == ["hi", "you said: hi", "bye", "you said: bye"]
    assert stage.model.tasks[0].turn == 2
    assert len(stage.session.attempts) == 1
    resume = stage.adapters.conversations[1].request.resume
    assert resume is not None
    assert not resume.answer_pending


async def test_after_a_restart_in_the_middle_of_a_turn_the_conversation_is_repeated() -> None:
    async def silent(conversation: LocalConversation, message: OutgoingMessage) -> None:
        conversation.sent(message)

    stage = Stage(LocalAdapters(silent), [says("hi")])
    await interrupted(stage, lambda: any(m.receipt is ReceiptStatus.SENT for m in stage.journal.messages))
    stage.session = stage.journal.session
    stage.model = ListedModel([stops("hi again")])
    stage.adapters.agent = echo
    stage.adapters.resumed = False
    ending = await stage.play(stage.journal.messages)
    assert ending.reason is TerminationReason.GOALS_REACHED
    first, _ = stage.session.attempts
    assert first.fault is not None
    assert first.fault.source is FaultSource.MIMIC
    assert first.note == "the agent's answer to the last message is not known"


async def test_cancelled_it_ends_at_once_and_closes_the_conversation() -> None:
    async def silent(conversation: LocalConversation, message: OutgoingMessage) -> None:
        conversation.sent(message)

    stage = Stage(LocalAdapters(silent), lambda _: says("hello?"))
    playing = asyncio.ensure_future(stage.play())
    await until(lambda: bool(stage.journal.messages))
    stage.control.cancel()
    ending = await playing
    assert ending.reason is TerminationReason.CANCELLED
    assert stage.adapters.conversations[0].closed is CloseReason.CANCELLED


async def test_a_full_disk_stops_the_loop_before_anything_is_sent() -> None:
    stage = Stage(LocalAdapters(), [says("hi")])
    stage.adapters.on_open = lambda _: setattr(stage.journal, "refuse", True)
    with pytest.raises(UnavailableError):
        await stage.play()
    assert stage.adapters.said == []


async def test_a_person_takes_over_and_hands_back() -> None:
    stage = Stage(LocalAdapters(), [stops("bye")])
    stage.control.human = True
    playing = asyncio.ensure_future(stage.play())
    stored: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
    stage.control.say(SpokenByPerson(MessageId("p1"), (Text("I am a person"),), stored))
    assert (await stored).text == "I am a person"
    await until(lambda: len(stage.journal.messages) == 2)
    stage.control.set_human(human=False)
    ending = await playing
    assert ending.reason is TerminationReason.GOALS_REACHED
    assert stage.texts() == ["I am a person", "you said: I am a person", "bye", "you said: bye"]


async def test_a_late_answer_belongs_to_the_turn_that_it_answers() -> None:
    async def late(conversation: LocalConversation, message: OutgoingMessage) -> None:
        conversation.sent(message)
        if len(stage.adapters.said) == 2:
            first = stage.adapters.said[0][1]
            conversation.reply("late answer", in_reply_to=first.id)
            conversation.complete(first.id)
            conversation.reply("answer", in_reply_to=message.id)
            conversation.complete(message.id)

    stage = Stage(LocalAdapters(late), [says("one"), stops("two")], turn_timeout_ms=100)
    await stage.play()
    assert [(m.text, m.turn) for m in stage.journal.messages] == [
        ("one", 1),
        ("two", 2),
        ("late answer", 1),
        ("answer", 2),
    ]


async def test_the_platform_ends_it() -> None:
    async def agent(conversation: LocalConversation, message: OutgoingMessage) -> None:
        conversation.sent(message)
        conversation.hang_up(ClosedBy.PLATFORM, "the number was banned")

    stage = Stage(LocalAdapters(agent), lambda _: says("hi"), max_attempts=1)
    ending = await stage.play()
    assert ending.fault is not None
    assert ending.fault.source is FaultSource.CHANNEL
    assert "the number was banned" in ending.fault.message


async def test_a_restarted_adapter_numbers_its_events_anew() -> None:
    async def agent(conversation: LocalConversation, message: OutgoingMessage) -> None:
        await echo(conversation, message)
        if len(stage.adapters.said) == 3:
            stage.adapters.epoch = "epoch-2"
            conversation.break_off()

    stage = Stage(LocalAdapters(agent), lambda t: says(str(t.turn)) if t.turn < 5 else stops("5"))

    def broken_again(conversation: LocalConversation) -> None:
        if len(stage.adapters.conversations) == 2:
            conversation.reply("back", in_reply_to=stage.adapters.said[2][1].id)
            conversation.complete()

    stage.adapters.on_open = broken_again
    await stage.play()
    attempt = stage.session.attempts[0]
    assert (attempt.epoch, attempt.epoch_from) == ("epoch-2", 6)
    assert stage.texts()[-5:] == ["back", "4", "you said: 4", "5", "you said: 5"]
    assert all(m.receipt is ReceiptStatus.SENT for m in stage.journal.messages if m.sender is Sender.PERSONA)


async def test_a_message_that_the_agents_goodbye_overtook_is_no_fault() -> None:
    async def agent(conversation: LocalConversation, message: OutgoingMessage) -> None:
        if message.more:
            conversation.sent(message)
            conversation.reply("bye")
        else:
            conversation.failed(message, Fault(FaultSource.CHANNEL, "CONVERSATION_ENDED", "it was over"))
            conversation.hang_up(reason="the agent left")

    stage = Stage(LocalAdapters(agent), lambda _: says("thanks", "bye"))
    ending = await stage.play()
    assert (ending.reason, ending.fault) == (TerminationReason.AGENT_ENDED, None)
    assert len(stage.session.attempts) == 1


async def test_a_turn_that_the_persona_lets_pass_costs_no_model_call() -> None:
    stage = Stage(LocalAdapters(), lambda task: says(str(task.turn)), max_turns=6, seed=4)
    style = stage.session.persona.typing_style.model_copy(update={"silence_rate": 0.5})
    persona = stage.session.persona.model_copy(update={"typing_style": style})
    stage.session = replace(stage.session, persona=persona)
    await stage.play()
    spoken = {m.turn for m in stage.journal.messages if m.sender is Sender.PERSONA}
    assert stage.session.turns == 6
    assert 0 < len(spoken) < 6
    assert {task.turn for task in stage.model.tasks} == spoken


async def test_an_agent_that_never_answers_is_silent_though_later_messages_wait_behind_the_first() -> None:
    async def hanging(conversation: LocalConversation, message: OutgoingMessage) -> None:
        if len(stage.adapters.said) == 1:
            conversation.sent(message)

    stage = Stage(LocalAdapters(hanging), lambda _: says("hello?"), turn_timeout_ms=100)
    ending = await stage.play()
    assert (ending.reason, ending.fault) == (TerminationReason.AGENT_SILENT, None)
    assert len(stage.session.attempts) == 1


async def test_an_adapter_that_never_tells_of_a_message_is_at_fault() -> None:
    async def mute(conversation: LocalConversation, message: OutgoingMessage) -> None:
        pass

    stage = Stage(LocalAdapters(mute), lambda _: says("hello?"), turn_timeout_ms=100, max_attempts=1)
    ending = await stage.play()
    assert ending.fault is not None
    assert (ending.fault.source, ending.fault.reason) == (FaultSource.ADAPTER, "NO_RECEIPT")


async def test_refused_credentials_are_not_tried_again() -> None:
    refused = Fault(FaultSource.CHANNEL, "CREDENTIALS_REFUSED", "the agent answered 401")
    stage = Stage(LocalAdapters(), [says("hi")])
    stage.adapters.refusals = [FaultError(refused)]
    ending = await stage.play()
    assert ending.fault == refused
    assert len(stage.session.attempts) == 1
