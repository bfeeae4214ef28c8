"""The prompt of a persona's turn: a stable prefix, and an agent whose words stay its own."""

from __future__ import annotations

import itertools
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mimic_server.domain.messages import (
    Choice,
    ChoiceKind,
    ChoicesOffered,
    ChoiceTaken,
    Media,
    MediaKind,
    Sender,
    Stop,
    StopKind,
    Text,
)
from mimic_server.domain.personas import PersonaSpec
from mimic_server.simulation.tasks import Dialogue, Entry, PersonaTurn, PersonaTurnTask
from pydantic import ValidationError

from tests.server.transcripts import said

ANN = PersonaSpec(
    name="Ann",
    background="Order NW-1.",
    goals=("Find the order", "Leave"),
    frustrations=("Waiting",),
    sample_phrases=("where is it",),
    stop_conditions=("The agent is rude",),
)


def prompt(talk: Dialogue, turn: int) -> list[tuple[str, str]]:
    return [(message.role, message.content) for message in PersonaTurnTask(talk, turn, 20, 1).messages()]


def test_tells_who_the_persona_is() -> None:
    talk = Dialogue(ANN, "Northwind", "Sells tents", "whatsapp")
    (role, system), (_, note) = prompt(talk, 1)
    assert role == "system"
    for text in (
        "Ann",
        "Order NW-1.",
        "1. Find the order",
        "Waiting",
        "where is it",
        "The agent is rude",
        "tents",
    ):
        assert text in system
    assert "open the conversation" in note


def test_what_changes_comes_last_and_is_not_kept() -> None:
    talk = Dialogue(ANN, "Northwind")
    prompts = []
    for turn in range(1, 6):
        prompts.append("\n".join(content for _, content in prompt(talk, turn)))
        talk.append(Entry(Sender.PERSONA, f"question {turn}", turn))
        if turn != 3:
            talk.append(Entry(Sender.AGENT, f"answer {turn}", turn))
    for before, after in itertools.pairwise(prompts):
        kept = before[: before.rindex("\n(Turn")]
        assert after.startswith(kept.rstrip("\n"))
        assert after.count("(Turn") == 1


def test_roles_alternate_whatever_comes_in_a_row() -> None:
    talk = Dialogue(ANN, "Northwind")
    for turn in range(1, 5):
        talk.append(Entry(Sender.PERSONA, "one", turn))
        talk.append(Entry(Sender.PERSONA, "two", turn))
        for _ in range(turn % 3):
            talk.append(Entry(Sender.AGENT, "answer", turn))
    roles = [role for role, _ in prompt(talk, 5)]
    assert roles == ["system", *["assistant", "user"] * 4]
    assert "did not answer" in prompt(talk, 5)[6][1]
    assert prompt(talk, 5)[1][1] == "one\ntwo"


def test_an_answer_that_is_missing_is_told() -> None:
    talk = Dialogue(ANN, "Northwind")
    talk.append(Entry(Sender.PERSONA, "hello?", 1))
    assert "has not answered" in prompt(talk, 2)[-1][1]


@settings(deadline=None)
@given(st.text(max_size=300))
def test_every_line_of_the_agents_is_marked(text: str) -> None:
    talk = Dialogue(ANN, "Northwind", can_take_choices=True)
    talk.append(Entry(Sender.PERSONA, "hi", 1))
    talk.append(Entry(Sender.AGENT, text, 1, (Choice(text, text),)))
    content = prompt(talk, 2)[-1][1]
    words, _, note = content.rpartition("\n\n")
    assert note.startswith("(Turn 2")
    assert all(line.startswith("> ") for line in words.splitlines())


def test_edits_and_deletions_are_told() -> None:
    talk = Dialogue(ANN, "Northwind")
    talk.append(Entry(Sender.AGENT, "new text", 1, edited=True))
    talk.append(Entry(Sender.AGENT, "", 1, deleted=True))
    content = prompt(talk, 2)[-1][1]
    assert "(The agent changed an earlier message to:)\n> new text\n" in content
    assert "(The agent took an earlier message back.)" in content


def test_the_prompt_says_what_the_channel_can_do() -> None:
    system = prompt(Dialogue(ANN, "N", can_take_choices=True, can_send_pictures=True), 1)[0][1]
    assert "always null" not in system
    assert "always false" not in system
    system = prompt(Dialogue(ANN, "N"), 1)[0][1]
    assert "always null" in system
    assert "always false" in system


def test_a_message_as_an_entry() -> None:
    offered = ChoicesOffered((Choice("a", "Apples"), Choice("l", "Site", ChoiceKind.LINK)))
    entry = Entry.of(
        said(1, Sender.AGENT, (Text("Pick"), offered, Media(MediaKind.IMAGE, name="x.png")), turn=2)
    )
    assert (entry.sender, entry.text, entry.turn) == (Sender.AGENT, "Pick\n<image: x.png>", 2)
    assert entry.choices == offered.choices
    assert Entry.of(said(1, Sender.AGENT, (offered,), turn=2)).text == ""
    gone = Entry.of(said(2, Sender.AGENT, "x", turn=1, replaces="m1", deleted=True))
    assert (gone.text, gone.deleted, gone.edited) == ("", True, False)
    assert Entry.of(said(2, Sender.AGENT, "x", turn=1, replaces="m1")).edited


def test_choices_are_open_until_the_persona_speaks() -> None:
    talk = Dialogue(ANN, "N")
    choices = (Choice("a", "Apples"), Choice("b", "Buns"), Choice("l", "Link", ChoiceKind.LINK))
    talk.append(Entry(Sender.AGENT, "Pick", 1, choices[:1], message_id="m1"))
    talk.append(Entry(Sender.AGENT, "Or", 1, choices[1:], message_id="m2"))
    assert talk.open_choices == choices[:2]
    assert talk.taken("a") == ChoiceTaken("a", "m1", "Apples")
    assert talk.taken("b") == ChoiceTaken("b", "m2", "Buns")
    assert talk.taken("l") is None
    talk.append(Entry(Sender.PERSONA, "no", 2))
    assert not talk.open_choices
    assert talk.taken("a") is None


REACHED = Stop(StopKind.GOALS_REACHED, "", "why")


def condition(text: str) -> Stop:
    return Stop(StopKind.STOP_CONDITION, text, "why")


@pytest.mark.parametrize(
    "decision, reason, on, stop",
    [
        ("continue", "goals_reached", None, None),
        ("stop", None, None, REACHED),
        ("stop", "goals_reached", "x", REACHED),
        ("stop", None, "THE AGENT is rude ", condition("The agent is rude")),
        ("stop", "stop_condition", "bored", condition("bored")),
        ("stop", "stop_condition", None, condition("not said which")),
    ],
)
def test_the_decision_to_stop(decision: str, reason: str | None, on: str | None, stop: Stop | None) -> None:
    said = {"decision": decision, "stop_reason": reason, "stop_condition": on}
    turn = PersonaTurn.model_validate({"messages": ["bye"], "reasoning": "why", **said})
    assert turn.stop(ANN) == stop


def test_blank_messages_are_dropped_and_many_refused() -> None:
    assert PersonaTurn(messages=(" hi ", "", " \n")).messages == ("hi",)
    with pytest.raises(ValidationError):
        PersonaTurn(messages=("1", "2", "3", "4", "5"))


def test_a_prompt_costs_the_same_at_any_length() -> None:
    talk = Dialogue(ANN, "N")
    for turn in range(1, 2001):
        talk.append(Entry(Sender.PERSONA, "question", turn))
        talk.append(Entry(Sender.AGENT, "answer", turn))
    task = PersonaTurnTask(talk, 2001, 3000, 1)
    start = time.process_time()
    for _ in range(100):
        task.messages()
    assert (time.process_time() - start) / 100 < 0.001
