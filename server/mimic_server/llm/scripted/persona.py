"""Plays a persona by rules: one goal after the other, in its own words, until it has what it wants or enough.

What a persona does in a turn follows from its seed and from what the agent said before, so that a session
that is taken up again by another process goes on as it would have.
"""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Sequence
from weakref import WeakKeyDictionary

from mimic_server.domain.messages import Choice, ChoiceKind, Sender
from mimic_server.llm.scripted import words
from mimic_server.llm.scripted.conditions import Annoyance, about, met, met_because
from mimic_server.llm.scripted.facts import facts_of, stems
from mimic_server.llm.scripted.reading import Kind, Reading, combined, read
from mimic_server.llm.scripted.relevance import relates, without_echo
from mimic_server.simulation.tasks import Dialogue, Entry, PersonaTurn, PersonaTurnTask
from mimic_server.simulation.typing_style import lets_turn_pass

MAX_TRIES = 3
"""How often a persona tries for a goal before it gives it up."""

_YES = re.compile(r"\b(?:yes|ok|okay|confirm|sure|right|agree)\b", re.IGNORECASE)


class Troupe:
    """All personas that are on stage, by their dialogues."""

    def __init__(self) -> None:
        self._players: WeakKeyDictionary[Dialogue, _Player] = WeakKeyDictionary()

    def turn(self, task: PersonaTurnTask) -> PersonaTurn:
        """The persona's next turn."""
        player = self._players.get(task.dialogue)
        if player is None or not player.fits(task):
            player = self._players[task.dialogue] = _Player(task)
        return player.play(task)


class _Player:
    """One persona's mind. It hears each entry once; a new one hears the whole dialogue and acts it again."""

    def __init__(self, task: PersonaTurnTask) -> None:
        self._persona = task.persona
        self._facts = facts_of(task.persona)
        self._seed, self._attempt = task.seed, task.attempt
        self._can_take_choices = task.dialogue.can_take_choices
        self._can_send_pictures = task.dialogue.can_send_pictures
        self._turn = 0
        self._heard = 0
        self._replies: list[Entry] = []
        self._said: list[str] = []
        self._goal = 0
        self._tries = 0
        self._given_up: list[str] = []
        self._told: set[str] = set()
        self._taken: set[tuple[int, str]] = set()
        self._vented: set[str] = set()
        self._annoyed: Counter[Annoyance] = Counter()

    def fits(self, task: PersonaTurnTask) -> bool:
        """Whether this player's past is the dialogue's."""
        return (
            (self._seed, self._attempt) == (task.seed, task.attempt)
            and self._turn < task.turn
            and self._heard <= len(task.dialogue.entries)
        )

    def play(self, task: PersonaTurnTask) -> PersonaTurn:
        entries = task.dialogue.entries
        for position in range(self._heard, len(entries)):
            entry = entries[position]
            if entry.sender is Sender.AGENT:
                self._replies.append(entry)
                continue
            if entry.turn > self._turn:
                self._act(entry.turn)
                self._said = []
            self._said.append(entry.text)
        self._heard = len(entries)
        if lets_turn_pass(task.dialogue, seed=task.seed, attempt=task.attempt, turn=task.turn):
            # It will not be said, so nothing happened: whoever acts this dialogue again finds no such turn.
            return PersonaTurn(messages=(), reasoning=f"{self._persona.name} lets the turn pass.")
        done = self._act(task.turn)
        self._said = []
        return done

    def _act(self, turn: int) -> PersonaTurn:
        opening, self._turn = self._turn == 0, turn
        replies, self._replies = self._replies, []
        choices = [c for entry in replies for c in entry.choices if c.choice_kind is not ChoiceKind.LINK]
        if opening:
            greeting = self._pick(words.GREETINGS)
            opener = f"{greeting} {_after(greeting, self._ask())}"
            return self._choice(choices) or self._say(opener, why="opens the conversation")
        texts = [entry.text for entry in replies if not entry.deleted]
        text = "\n".join(texts)
        reading = self._read(texts)
        self._count(reading)
        condition = met(self._persona.stop_conditions, self._annoyed, text)
        if condition is not None:
            why = met_because(condition, self._annoyed)
            return self._say(self._pick(words.STOPS), why=why, stop="stop_condition", on=condition)
        return self._react(reading, text, choices)

    def _read(self, texts: Sequence[str]) -> Reading:
        """What the agent's messages amount to for the goal under way: its own words back are no answer."""
        if not any(text.strip() for text in texts):
            return read("")
        own = [without_echo(text, self._said) for text in texts]
        readings = [read(text) if text else Reading(Kind.NOTHING) for text in own]
        reading = combined(readings, self._told) if len(readings) > 1 else readings[0]
        goals = self._persona.goals
        context = " ".join(reversed(goals[: self._goal]))
        if reading.kind is Kind.ANSWER and not relates("\n".join(own), goals[self._goal], context):
            return dataclasses.replace(reading, kind=Kind.OFF_TOPIC)
        return reading

    def _count(self, reading: Reading) -> None:
        if reading.rude:
            self._annoyed[Annoyance.RUDE] += 1
        if reading.kind is Kind.SILENCE:
            self._annoyed[Annoyance.SILENT] += 1
        elif reading.kind in {Kind.FALLBACK, Kind.NOT_FOUND, Kind.REFUSAL, Kind.NOTHING, Kind.OFF_TOPIC}:
            self._annoyed[Annoyance.UNHELPFUL] += 1
        if any(slot in self._told for slot in reading.slots):
            self._annoyed[Annoyance.REPEATED] += 1

    def _react(self, reading: Reading, text: str, choices: Sequence[Choice]) -> PersonaTurn:
        if reading.kind is Kind.ANSWER and not reading.rude:
            self._goal += 1
            self._tries = 0
            return self._go_on(self._pick(words.THANKS), choices, "has an answer")
        self._tries += 1
        if choice := self._choice(choices, confirm=reading.kind is Kind.CONFIRM):
            return choice
        if self._tries > MAX_TRIES:
            return self._give_up()
        if reading.rude:
            return self._say(self._pick(words.RUDE), self._ask(again=True), why="was treated rudely")
        return self._press(reading, text)

    def _press(self, reading: Reading, text: str) -> PersonaTurn:
        """What it says to an answer that was none."""
        match reading.kind:
            case Kind.ASKS:
                return self._give(reading.slots, text)
            case Kind.CONFIRM:
                return self._say(self._pick(words.YES), why="agrees")
            case Kind.SILENCE:
                return self._say(
                    self._pick(words.WAITING), *self._vent(Annoyance.SILENT), why="got no answer"
                )
            case Kind.NOT_FOUND if number := self._facts.values.get("order"):
                return self._say(self._pick(words.SURE).format(number), why="was not found")
            case Kind.ASKS_UNKNOWN:
                known = self._known(text)
                return self._say(known or self._pick(words.UNKNOWN), why="was asked for something")
            case Kind.FALLBACK:
                return self._insist(words.AGAIN, "was not understood")
            case Kind.OFF_TOPIC if self._tries > 1:
                return self._insist(words.IMPATIENT, "has no answer yet and grows impatient")
            case _:
                return self._insist(words.UNANSWERED, "has no answer yet")

    def _go_on(self, opener: str, choices: Sequence[Choice], why: str) -> PersonaTurn:
        """The next goal, or goodbye."""
        if self._goal < len(self._persona.goals):
            return self._choice(choices) or self._say(opener, self._ask(), why=why)
        if not self._given_up:
            why = f"{self._persona.name} has what was wanted."
            return self._say(self._pick(words.GOODBYES), why=why, stop="goals_reached")
        on = f"gave up: {'; '.join(self._given_up)}"
        why = f"{MAX_TRIES} tries were not enough."
        return self._say(self._pick(words.GIVE_UPS), why=why, stop="stop_condition", on=on)

    def _give_up(self) -> PersonaTurn:
        self._given_up.append(self._persona.goals[self._goal])
        self._goal += 1
        self._tries = 0
        return self._go_on(self._pick(words.NEVER_MIND), (), "gave up a goal")

    def _give(self, slots: Sequence[str], text: str) -> PersonaTurn:
        """What was asked for, as far as it is known."""
        if "picture" in slots:
            said = "Here it is." if self._can_send_pictures else "I can't send pictures here."
            return self._say(said, why="was asked for a picture", picture=self._can_send_pictures)
        values = self._facts.values
        known = [self._spoken(values[s]) if s == "details" else values[s] for s in slots if s in values]
        if not known:
            known = [sentence] if (sentence := self._known(text)) else []
        if not known:
            return self._say(self._pick(words.UNKNOWN), self._ask(), why="does not know what it is asked for")
        value = ", ".join(dict.fromkeys(item.rstrip(".") for item in known))
        if any(slot in self._told for slot in slots):
            return self._say(
                self._pick(words.TOLD).format(value),
                *self._vent(Annoyance.REPEATED),
                why="has told it before",
            )
        giving = (
            "{}." if " " in value and value.startswith(("I ", "My ", "The ")) else self._pick(words.GIVING)
        )
        return self._say(giving.format(value), why="was asked for it")

    def _known(self, question: str) -> str:
        """What it knows of what it is asked, in its own words."""
        return self._spoken(self._facts.about(question))

    def _spoken(self, fact: str) -> str:
        return words.spoken(fact, self._persona.background, self._persona.name)

    def _insist(self, openers: tuple[str, ...], why: str) -> PersonaTurn:
        vented = self._vent(Annoyance.UNHELPFUL) if self._tries > 1 else ()
        return self._say(self._pick(openers), self._ask(again=True), *vented, why=why)

    def _ask(self, *, again: bool = False) -> str:
        """The goal under way in words: the persona's own where it has some."""
        plain = words.asked(self._persona.goals[self._goal])
        own = words.own(self._persona.goals, self._persona.sample_phrases)[self._goal]
        options = [*own, plain] if again or self._draw(2) else [plain, *own]
        return options[self._tries % len(options)] if again else options[0]

    def _vent(self, kind: Annoyance) -> tuple[str, ...]:
        """A frustration, said once."""
        for frustration in self._persona.frustrations:
            if frustration not in self._vented and about(frustration) is kind:
                self._vented.add(frustration)
                return (self._pick(words.ANNOYED).format(words.complaint(frustration)),)
        return ()

    def _choice(self, choices: Sequence[Choice], *, confirm: bool = False) -> PersonaTurn | None:
        """Takes an offered choice that fits. Returns None if none does, or none can be taken."""
        if not self._can_take_choices:
            return None
        wanted = stems(self._persona.goals[min(self._goal, len(self._persona.goals) - 1)])
        for choice in choices:
            fits = _YES.search(choice.title) if confirm else stems(choice.title) & wanted
            if fits and (self._goal, choice.id) not in self._taken:
                self._taken.add((self._goal, choice.id))
                return PersonaTurn(messages=(), take_choice=choice.id, reasoning="An offered choice fits.")
        return None

    def _say(
        self, *said: str, why: str, stop: str | None = None, on: str | None = None, picture: bool = False
    ) -> PersonaTurn:
        text = " ".join(said)
        lowered = text.lower()
        for slot, value in self._facts.values.items():
            if value.lower() in lowered:
                self._told.add(slot)
        if not stop:
            why = f"Goal {self._goal + 1} of {len(self._persona.goals)}: {self._persona.name} {why}."
        return PersonaTurn.model_validate(
            {
                "messages": (text,),
                "reasoning": why,
                "send_picture": picture,
                "decision": "stop" if stop else "continue",
                "stop_reason": stop,
                "stop_condition": on,
            }
        )

    def _draw(self, options: int) -> int:
        mixed = (self._seed * 0x9E3779B1 + self._attempt * 0x85EBCA6B + self._turn * 0xC2B2AE35) & 0xFFFFFFFF
        return ((mixed ^ (mixed >> 15)) * 0x2C1B3C6D >> 7 & 0xFFFF) % options

    def _pick(self, options: Sequence[str]) -> str:
        return options[self._draw(len(options))]


def _after(greeting: str, text: str) -> str:
    """A sentence after a greeting: within the same sentence it begins in lower case, but for "I"."""
    if greeting.endswith(",") and text[:1].isupper() and text[1:2].islower():
        return text[0].lower() + text[1:]
    return text
