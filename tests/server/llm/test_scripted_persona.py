"""The scripted persona: pursues its goals, answers what it is asked, loses patience, and leaves."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mimic_server.domain.messages import Choice, ChoiceKind, Sender, StopKind
from mimic_server.domain.personas import PersonaSpec, TypingStyle
from mimic_server.llm.scripted import ScriptedModel
from mimic_server.llm.scripted.reading import Kind, combined, read
from mimic_server.simulation.tasks import Dialogue, Entry, PersonaTurn, PersonaTurnTask

from tests.server.llm.tasks import ANN, dialogue, offered

Agent = Callable[[int, str], Sequence[str]]


async def play(
    agent: Agent, persona: PersonaSpec = ANN, *, seed: int = 1, turns: int = 12, fresh: bool = False
) -> tuple[Dialogue, list[PersonaTurn]]:
    """A session with an agent that is a function of the turn and of what the persona says."""
    talk, model, answers = dialogue(persona=persona), ScriptedModel(), []
    for turn in range(1, turns + 1):
        task = PersonaTurnTask(talk, turn, turns, seed)
        answer = (await (ScriptedModel() if fresh else model).answer(task)).value
        answers.append(answer)
        for text in answer.messages:
            talk.append(Entry(Sender.PERSONA, text, turn))
        if answer.decision == "stop":
            break
        for text in agent(turn, " ".join(answer.messages)):
            talk.append(Entry(Sender.AGENT, text, turn))
    return talk, answers


def always(text: str) -> Agent:
    return lambda _turn, _said: [text] if text else []


def forgetful(_turn: int, said: str) -> Sequence[str]:
    if "10234" in said:
        return ["Order NW-10234, your tent, is on its way. The delivery date is 4 December."]
    return ["Happy to check. What is your order number?"]


async def test_reaches_its_goals_against_an_agent_that_forgets() -> None:
    talk, answers = await play(forgetful)
    said = [entry.text for entry in talk.entries if entry.sender is Sender.PERSONA]
    assert "order" in said[0]
    assert "NW-10234" in said[1]
    assert "arrive" in said[2]
    assert any(word in said[3] for word in ("already told", "As I said", "Again"))
    stop = answers[-1].stop(ANN)
    assert stop is not None
    assert stop.kind is StopKind.GOALS_REACHED
    assert len(said) == 5


@pytest.mark.parametrize("seed", range(6))
async def test_the_same_seed_plays_the_same_whoever_takes_it_up(seed: int) -> None:
    lived, _ = await play(forgetful, seed=seed)
    taken_up, _ = await play(forgetful, seed=seed, fresh=True)
    assert lived.entries == taken_up.entries


async def test_seeds_differ() -> None:
    openings = {(await play(forgetful, seed=seed))[0].entries[0].text for seed in range(20)}
    assert len(openings) > 3


@pytest.mark.parametrize(
    "question, reply",
    [
        ("What is your order number?", "NW-10234"),
        ("Could you give me your email, please?", "ann@example.com"),
        ("May I have your full name?", "Ann"),
        ("Please tell me the delivery address.", "12 Elm Street, 62704 Springfield"),
        ("What is your postcode?", "62704"),
        ("On what day did you order?", "3 November"),
        ("Which phone number can we reach you at?", "+44 20 7946 0018"),
        ("Could you send me a photo of it?", "can't send pictures"),
        ("What colour is the tent?", "tent is green"),
        ("What is your favourite song?", ""),
    ],
)
async def test_gives_what_it_knows(question: str, reply: str) -> None:
    persona = ANN.model_copy(
        update={
            "background": (
                "Her order number is NW-10234 of 3 November. Her email is ann@example.com. The tent is green."
                " Her address is 12 Elm Street, 62704 Springfield. Her phone is +44 20 7946 0018."
            )
        }
    )
    talk, _ = await play(always(question), persona, turns=2)
    assert reply in talk.entries[2].text


async def test_gives_up_on_an_agent_that_never_understands() -> None:
    persona = ANN.model_copy(update={"stop_conditions": ()})
    _, answers = await play(always("Sorry, I did not get that."), persona, turns=30)
    stop = answers[-1].stop(persona)
    assert stop is not None
    assert stop.kind is StopKind.STOP_CONDITION
    assert stop.condition.startswith("gave up: Find out where her order is")
    assert 6 <= len(answers) <= 12


@pytest.mark.parametrize(
    "condition, reply, turns",
    [
        ("The agent is rude twice", "What a stupid question.", 3),
        ("The agent is impolite", "What a stupid question.", 2),
        ("The agent asks for the same thing three times", "What is your order number?", 5),
        ("There is no answer twice", "", 3),
        ("The agent does not understand more than twice", "Could you rephrase that?", 4),
        ("The agent offers a voucher", "We can give you a voucher.", 2),
    ],
)
async def test_leaves_when_a_stop_condition_is_met(condition: str, reply: str, turns: int) -> None:
    persona = ANN.model_copy(update={"stop_conditions": (condition,), "goals": ANN.goals * 3})
    _, answers = await play(always(reply), persona)
    stop = answers[-1].stop(persona)
    assert stop is not None
    assert stop.condition == condition
    assert answers[-1].messages
    assert len(answers) == turns


async def test_says_its_frustrations_when_they_are_met() -> None:
    talk, _ = await play(always("What is your order number?"), turns=3)
    assert "having to repeat the order number" in talk.entries[-2].text


async def test_asks_again_when_nobody_answers() -> None:
    talk, _ = await play(always(""), turns=2)
    assert "?" in talk.entries[1].text


async def test_takes_a_choice_that_fits() -> None:
    talk = dialogue(can_take_choices=True)
    talk.append(offered(("r", "Refunds"), ("o", "My orders"), turn=0))
    answer = (await ScriptedModel().answer(PersonaTurnTask(talk, 1, 9, 1))).value
    assert answer.take_choice == "o"
    assert answer.messages == ()


@pytest.mark.parametrize("can_take_choices", [True, False])
async def test_takes_no_choice_twice_and_none_where_it_cannot(can_take_choices: bool) -> None:
    talk, model = dialogue(can_take_choices=can_take_choices), ScriptedModel()
    taken = []
    for turn in range(1, 5):
        answer = (await model.answer(PersonaTurnTask(talk, turn, 9, 1))).value
        taken.append(answer.take_choice)
        talk.append(Entry(Sender.PERSONA, " ".join(answer.messages) or "My orders", turn))
        talk.append(offered(("o", "My orders"), text="Please choose:", turn=turn))
    assert taken.count("o") == (1 if can_take_choices else 0)


async def test_a_turn_let_pass_changes_nothing() -> None:
    persona = ANN.model_copy(update={"typing_style": TypingStyle(silence_rate=0.5)})
    for seed in range(10):
        lived, _ = await play(forgetful, persona, seed=seed, turns=30)
        taken_up, _ = await play(forgetful, persona, seed=seed, turns=30, fresh=True)
        assert lived.entries == taken_up.entries


async def test_a_turn_costs_well_under_a_millisecond() -> None:
    model, talks = ScriptedModel(), [dialogue() for _ in range(100)]
    start = time.process_time()
    for talk in talks:
        for turn in range(1, 6):
            answer = (await model.answer(PersonaTurnTask(talk, turn, 9, 1))).value
            talk.append(Entry(Sender.PERSONA, " ".join(answer.messages), turn))
            talk.append(Entry(Sender.AGENT, forgetful(turn, talk.entries[-1].text)[0], turn))
    assert (time.process_time() - start) / 500 < 0.0005


@pytest.mark.parametrize(
    "text, kind",
    [
        ("", Kind.SILENCE),
        ("Hello, and welcome to Northwind! How can I help you today?", Kind.NOTHING),
        ("You're welcome! Is there anything else I can do for you?", Kind.NOTHING),
        ("Could you put it another way?", Kind.FALLBACK),
        ("I cannot find an order NW-1.", Kind.NOT_FOUND),
        ("Unfortunately we cannot refund that.", Kind.REFUSAL),
        ("What is your order number?", Kind.ASKS),
        ("Shall I go ahead?", Kind.CONFIRM),
        ("Which size?", Kind.ASKS_UNKNOWN),
        ("Your tent is on its way.", Kind.ANSWER),
        ("Sure, your order is on its way to you.", Kind.ANSWER),
        ("9-17", Kind.ANSWER),
    ],
)
def test_reads_an_answer(text: str, kind: Kind) -> None:
    assert read(text).kind is kind


def test_reads_several_messages_as_one() -> None:
    answer, asks = read("Your tent is on its way."), read("What is your order number?")
    assert combined([answer, asks], known=()).kind is Kind.ASKS
    assert combined([answer, asks], known=("order",)).kind is Kind.ANSWER
    assert combined([read("Sure!"), asks], known=()).kind is Kind.ASKS


@given(
    replies=st.lists(st.text(max_size=200), max_size=8),
    goals=st.lists(st.text(min_size=1, max_size=80).filter(str.strip), min_size=1, max_size=4),
    background=st.text(max_size=200),
    frustrations=st.lists(st.text(min_size=1, max_size=50).filter(str.strip), max_size=3),
    seed=st.integers(0, 2**63 - 1),
)
@settings(max_examples=60, deadline=None)
async def test_never_breaks(
    replies: list[str], goals: list[str], background: str, frustrations: list[str], seed: int
) -> None:
    annoying = tuple(frustrations)
    persona = PersonaSpec(
        name="X", goals=tuple(goals), background=background, frustrations=annoying, stop_conditions=annoying
    )

    def agent(turn: int, _said: str) -> Sequence[str]:
        return replies[turn - 1 : turn + 1]

    _, answers = await play(agent, persona, seed=seed)
    assert all(answer.messages and all(answer.messages) for answer in answers)


async def test_links_are_no_choices() -> None:
    talk = dialogue(can_take_choices=True)
    link = Choice("o", "My orders", ChoiceKind.LINK, uri="https://example.com")
    talk.append(Entry(Sender.AGENT, "See:", 0, (link,)))
    assert talk.open_choices == ()
    answer = (await ScriptedModel().answer(PersonaTurnTask(talk, 1, 9, 1))).value
    assert answer.take_choice is None


BUYER = PersonaSpec(
    name="Ben",
    background="His order number is NW-10234.",
    goals=(
        "Get a refund for the damaged tent",
        "Find out where his order is",
        "Find out whether the shop is open on Saturday",
        "Change the delivery address of his order",
    ),
)


def echo(_turn: int, said: str) -> Sequence[str]:
    return [f"I heard: {said}"]


def useful(_turn: int, said: str) -> Sequence[str]:
    if "refund" in said:
        return ["I have refunded the tent, the money is back in 5 days."]
    if "where" in said.lower():
        return ["Your order is on its way with the carrier."]
    if "open" in said:
        return ["Yes, we are open on Saturday from 10 am to 4 pm."]
    return ["Done, the delivery address is changed."]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    "agent, stop", [(always("Your pizza comes in 30 minutes."), "gave up"), (echo, "gave up"), (useful, "")]
)
async def test_takes_for_an_answer_only_what_relates(agent: Agent, stop: str, seed: int) -> None:
    talk, answers = await play(agent, BUYER, seed=seed, turns=30)
    done = answers[-1].stop(BUYER)
    assert done is not None
    if stop:
        assert done.kind is StopKind.STOP_CONDITION
        assert done.condition == f"gave up: {'; '.join(BUYER.goals)}"
    else:
        assert done.kind is StopKind.GOALS_REACHED, talk.entries
        assert len(answers) == len(BUYER.goals) + 1
