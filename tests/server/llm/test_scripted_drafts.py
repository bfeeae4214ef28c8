"""What the scripted model drafts, and that it finds the example agent's planted faults."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import pytest
from mimic_server.domain.adapters import Capabilities
from mimic_server.domain.agents import AgentSpec
from mimic_server.domain.evaluations import Method, Metric, ResultStatus, Verdict
from mimic_server.domain.messages import Message, Sender, Transcript, plain_text
from mimic_server.domain.personas import PersonaSpec
from mimic_server.evaluation.judge import evaluate_all
from mimic_server.llm.scripted import ScriptedModel, words
from mimic_server.simulation.tasks import Dialogue, Entry, PersonaTurnTask
from mimic_server.simulation.typing_style import plan

from examples.support_agent.dialogue import Intent, answer, new_conversation
from tests.server.llm.tasks import NORTHWIND, evaluations_task, persona_task
from tests.server.transcripts import said

VAGUE = AgentSpec(name="Helper")
BANK = AgentSpec(name="Bank", description="Answers questions on accounts, cards and transfers.")


async def draft(agent: AgentSpec = NORTHWIND, number: int = 6, seed: int = 1) -> list[PersonaSpec]:
    model = ScriptedModel()
    return [
        (await model.answer(persona_task(index, seed=seed, agent=agent))).value for index in range(number)
    ]


@pytest.mark.parametrize("agent", [NORTHWIND, BANK, VAGUE])
async def test_drafts_distinct_personas(agent: AgentSpec) -> None:
    people = await draft(agent, 14)
    assert len({person.name for person in people}) == 14
    assert len({(person.goals, person.typing_style) for person in people}) >= 6
    assert people == await draft(agent, 14)
    if agent.description:
        assert people != await draft(agent, 14, seed=2)


async def test_drafts_nobody_twice() -> None:
    taken = [person.name for person in await draft(number=8)]
    model = ScriptedModel()
    more = [(await model.answer(persona_task(index, *taken))).value.name for index in range(6)]
    assert len({*taken, *more}) == 14


async def test_personas_speak_of_what_the_agent_does() -> None:
    goals = " ".join(goal for person in await draft() for goal in person.goals).lower()
    assert all(word in goals for word in ("order", "refund", "opening hours", "delivery address"))
    goals = " ".join(goal for person in await draft(BANK) for goal in person.goals).lower()
    assert "cards" in goals or "accounts" in goals or "transfers" in goals
    assert "refund" not in goals


@pytest.mark.parametrize("agent", [NORTHWIND, BANK, VAGUE])
async def test_drafts_evaluations_of_every_method(agent: AgentSpec) -> None:
    drafts = (await ScriptedModel().answer(evaluations_task(agent))).value.evaluations
    assert {spec.method for spec in drafts} == set(Method)
    assert {spec.metric for spec in drafts} == set(Metric)
    fewer = (await ScriptedModel().answer(evaluations_task(agent, 5))).value.evaluations
    assert fewer == drafts[:5]


async def test_drafts_no_evaluation_twice() -> None:
    taken: tuple[str, ...] = ()
    for _ in range(4):
        task = dataclasses.replace(evaluations_task(), drafted_names=taken)
        taken += tuple(spec.name for spec in (await ScriptedModel().answer(task)).value.evaluations)
    assert len(set(taken)) == len(taken) == 32


async def converse(persona: PersonaSpec, number: int, seed: int) -> Sequence[Message]:
    """A session with the example agent, as an adapter would time it."""
    model, talk = ScriptedModel(), Dialogue(persona, NORTHWIND.name)
    agent = new_conversation(f"session {number}")
    messages: list[Message] = []
    now = 0.0
    for turn in range(1, 21):
        done = (await model.answer(PersonaTurnTask(talk, turn, 20, seed))).value
        planned = plan(done, talk, seed=seed, attempt=1, turn=turn, pace=0, capabilities=Capabilities())
        for part in planned:
            now += 10
            text = plain_text(part.parts)
            messages.append(said(len(messages) + 1, Sender.PERSONA, text, turn=turn, at=now))
            talk.append(Entry(Sender.PERSONA, text, turn))
            reply = answer(agent, text)
            now += 2500 if reply.intent is Intent.HOURS else 90
            messages.append(said(len(messages) + 1, Sender.AGENT, reply.text, turn=turn, at=now))
            talk.append(Entry(Sender.AGENT, reply.text, turn))
            if reply.ended:
                return messages
        if done.decision == "stop":
            return messages
    return messages


@pytest.mark.parametrize("seed", [1, 2, 3, 44, 100, 2**62])
async def test_finds_the_planted_faults_of_the_example_agent(seed: int) -> None:
    specs = (await ScriptedModel().answer(evaluations_task())).value.evaluations
    failed: dict[str, set[str]] = {spec.name: set() for spec in specs}
    passed: dict[str, set[str]] = {spec.name: set() for spec in specs}
    for number, person in enumerate(await draft(seed=seed)):
        talk = Transcript(tuple(await converse(person, number, seed)))
        for spec, judgement in zip(specs, await evaluate_all(specs, talk, ScriptedModel()), strict=True):
            assert judgement.status is not ResultStatus.ERROR, judgement
            if judgement.verdict is Verdict.FAIL:
                failed[spec.name].add(person.name)
                assert judgement.evidence
            elif judgement.verdict is Verdict.PASS:
                passed[spec.name].add(person.name)
    assert failed["Answers within a second"] == {"Grace Okafor", "Aisha Khan"}
    # A slip of the finger in "refund" spares a persona the agent's rudeness.
    for name in ("Stays civil", "Is polite throughout"):
        assert {"Tom Becker"} <= failed[name] <= {"Tom Becker", "Yuki Tanaka"}
    assert {"Maria Lopez", "Jonas Lind", "Aisha Khan"} <= failed["Keeps the number it was given"]
    assert "Maria Lopez" in failed["Asks for the order number once"]
    assert "Tom Becker" in failed["Answers what is asked"]
    assert "Grace Okafor" in passed["Answers what is asked"]
    # The first five are what a bootstrap keeps by default.
    assert all(failed[spec.name] for spec in specs[:5])
    assert all(passed[spec.name] for spec in specs[:3])


async def test_drafts_from_the_words_of_the_description() -> None:
    pizza = AgentSpec(
        name="Pizza bot",
        description="Takes orders for pizza, tells delivery times, handles complaints.",
    )
    people = await draft(pizza)
    goals = {goal for person in people for goal in person.goals}
    assert {"Order pizza", "Ask about delivery times", "Make a complaint"} <= goals
    everything = " ".join(f"{person.background} {person.goals}" for person in people)
    assert not any(item in everything for item in ("tent", "sleeping bag", "boots", "backpack"))
    bank = AgentSpec(
        name="Bank", description="Helps customers check their balance, transfer money and block cards."
    )
    goals = {goal for person in await draft(bank) for goal in person.goals}
    assert {"Check my balance", "Transfer money", "Block cards"} <= goals


@pytest.mark.parametrize(
    "fact, spoken",
    [
        ("They have heard of Echo.", "I have heard of Echo."),
        ("They are new here and their dog is old.", "I am new here and my dog is old."),
    ],
)
async def test_a_fact_is_spoken_in_the_first_person(fact: str, spoken: str) -> None:
    assert words.spoken(fact, fact, "Ann") == spoken
    she = "She ordered a lamp, and has moved since. She needs them; they have not come."
    assert words.spoken(she, she, "Ann") == (
        "I ordered a lamp, and have moved since. I need them; they have not come."
    )
