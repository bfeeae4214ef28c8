"""Personas for an agent, drafted from what its description speaks of."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

from mimic_server.domain.personas import PersonaSpec, TypingStyle
from mimic_server.llm.scripted.descriptions import Deed, deeds_of, singular
from mimic_server.llm.scripted.topics import Topic, topics_of
from mimic_server.simulation.drafts import PersonaDraftTask


@dataclass(frozen=True, slots=True)
class _Person:
    name: str
    age: int
    occupation: str
    location: str


@dataclass(frozen=True, slots=True)
class _Role:
    """A reason to write. Texts may name {order}, {item}, {address}, {email} and {agent}."""

    topics: frozenset[Topic]
    """What the agent must be about for it."""
    background: str
    goals: tuple[str, ...]
    frustrations: tuple[str, ...]
    phrases: tuple[str, ...]
    stops: tuple[str, ...]
    style: TypingStyle
    tags: tuple[str, ...]


_PEOPLE = (
    _Person("Maria Lopez", 34, "nurse", "Leeds"),
    _Person("Tom Becker", 52, "carpenter", "Bristol"),
    _Person("Grace Okafor", 67, "retired teacher", "Cardiff"),
    _Person("Jonas Lind", 29, "software tester", "Glasgow"),
    _Person("Aisha Khan", 23, "student", "Manchester"),
    _Person("Yuki Tanaka", 41, "translator", "London"),
    _Person("Pedro Alves", 38, "bus driver", "Sheffield"),
    _Person("Ingrid Dahl", 58, "accountant", "Norwich"),
    _Person("Samuel Mensah", 45, "chef", "Birmingham"),
    _Person("Chloe Martin", 19, "apprentice", "Brighton"),
)
_ITEMS = ("tent", "rain jacket", "pair of boots", "backpack", "lamp", "sleeping bag")
_STREETS = ("Elm Street", "Mill Lane", "Station Road", "Church Lane", "Park Avenue")

_FOLLOWED_UP = _Role(
    frozenset({Topic.ORDERS}),
    "She ordered a {item} two weeks ago; the order number is {order}. She paid by card and her email is "
    "{email}. Nothing has arrived yet.",
    (
        "Find out where her order is",
        "Find out when it will arrive",
        "Find out whether the parcel needs a signature on delivery",
    ),
    ("Having to repeat the order number", "Getting no clear date"),
    ("Where is my order?", "And when will it arrive?"),
    ("The agent asks for the same thing three times",),
    TypingStyle(description="friendly, whole sentences", typo_rate=0.02, words_per_minute=45),
    ("order-status", "follow-up"),
)
_REFUND = _Role(
    frozenset({Topic.REFUNDS}),
    "He bought a {item} with the order number {order}. It was damaged when it came, and an email that he "
    "sent last week was never answered.",
    ("Get a refund for the damaged {item}", "Find out how long the refund takes"),
    ("Being treated rudely", "Being sent away without an answer"),
    ("I want my money back for the {item}.", "How long does a refund take?"),
    ("The agent is rude three times", "There is no answer twice"),
    TypingStyle(
        description="blunt, short, no small talk", lowercase=True, typo_rate=0.03, words_per_minute=30
    ),
    ("refund", "complaint"),
)
_HOURS = _Role(
    frozenset({Topic.HOURS}),
    "She lives near the shop and would rather come by than order. She does not use the internet much.",
    (
        "Find out the opening hours of the shop",
        "Find out whether the shop is open on Saturday",
        "Find out at what time it closes today",
    ),
    ("Waiting long for a simple answer", "Being told to look at the website"),
    ("What are your opening hours?", "Are you open on Saturday?"),
    ("There is no answer twice",),
    TypingStyle(description="polite, slow, long sentences", burst_rate=0.1, words_per_minute=18),
    ("opening-hours", "polite"),
)
_MOVED = _Role(
    frozenset({Topic.ADDRESS, Topic.ORDERS}),
    "He ordered a {item}, order number {order}, and has moved since. His new address is {address}.",
    ("Change the delivery address of his order", "Find out when the order will arrive now"),
    ("Having to repeat the order number", "Not getting a confirmation"),
    ("I have moved, can you change the delivery address?",),
    ("The agent asks for the same thing three times",),
    TypingStyle(description="matter-of-fact, lists facts", burst_rate=0.4, words_per_minute=70),
    ("address-change", "follow-up"),
)
_HURRY = _Role(
    frozenset({Topic.ORDERS, Topic.HOURS}),
    "She needs the {item} of order {order} for a trip this weekend and could pick it up herself.",
    (
        "Find out where order {order} is",
        "Find out the opening hours, to pick it up",
        "Find out whether the order arrives before the weekend",
    ),
    ("Slow answers", "Having to repeat the order number"),
    ("where's my order", "what are your opening hours"),
    ("The agent does not answer twice",),
    TypingStyle(
        description="in a hurry, lower case, no greetings", lowercase=True, typo_rate=0.06, burst_rate=0.5,
        emoji=True, words_per_minute=75,
    ),
    ("impatient", "order-status", "opening-hours"),
)  # fmt: skip
_JUMPER = _Role(
    frozenset({Topic.ORDERS, Topic.REFUNDS}),
    "The order {order}, a {item}, is late. If it does not come soon, the money should come back. English is "
    "not the first language.",
    (
        "Find out what the status of the order is",
        "Find out whether a refund is possible if the order comes too late",
        "Find out when the order will be delivered",
    ),
    ("Being treated rudely", "Having to repeat everything"),
    ("What is the status of my order?", "If it is too late, is a refund possible?"),
    ("The agent is rude twice",),
    TypingStyle(description="simple words, careful, polite", typo_rate=0.04, double_send_rate=0.1),
    ("order-status", "refund", "topic-jumps"),
)
_ROLES = (_FOLLOWED_UP, _REFUND, _HOURS, _MOVED, _HURRY, _JUMPER)

_MOODS = (
    TypingStyle(description="friendly, whole sentences", typo_rate=0.02),
    TypingStyle(
        description="in a hurry", lowercase=True, typo_rate=0.05, burst_rate=0.4, words_per_minute=75
    ),
    TypingStyle(description="polite, long sentences", words_per_minute=20),
    TypingStyle(description="blunt and short", typo_rate=0.03),
    TypingStyle(description="cheerful, with emoji", emoji=True, burst_rate=0.2),
    TypingStyle(description="careful, simple words", double_send_rate=0.1),
)
_GENERAL = (
    ("Find out what {agent} can do for me", "Find out how to begin"),
    ("Find out whether {agent} costs anything", "Find out what {agent} can do for me"),
    ("Find out what {agent} needs to know", "Find out how long it takes"),
    ("Find out who answers when {agent} cannot",),
)
_OF_A_DEED = (
    ("{goal}", "Find out how long it takes"),
    ("{goal}", "Find out what happens next"),
    ("Ask about {subject}", "{other}"),
    ("{goal}", "{other}"),
    ("Find out more about {subject}", "{goal}"),
    ("{other}", "{goal}"),
)
_SHOP = re.compile(
    r"\bshop|\bstore\b|\bretail|customer (?:support|service)|\border (?:number|status)|\borders such as"
    r"|look\w* up orders|\bparcel|\brefund",
    re.IGNORECASE,
)
_OUTDOOR = re.compile(r"outdoor|\btent|camping|hiking|northwind", re.IGNORECASE)
_THINGS = ("lamp", "jacket", "pair of shoes", "gift")
_ORDER = re.compile(r"\b([A-Z]{1,5}-?)\d{3,}\b")


def draft_persona(task: PersonaDraftTask) -> PersonaSpec:
    """One persona: the same for the same task."""
    draws = random.Random((task.options.seed << 16) + task.index)
    text = f"{task.agent.name}. {task.agent.description} {task.options.instructions}"
    topics = topics_of(text)
    person = _person(task)
    deeds = deeds_of(task.agent.description)
    roles = [role for role in _ROLES if role.topics <= topics] if _SHOP.search(text) else []
    # What the roles speak of already needs no draft of its own.
    free = tuple(deed for deed in deeds if not roles or not topics_of(deed.goal))
    first = draws.randrange(len(free)) if free else 0
    prefix = found.group(1) if (found := _ORDER.search(text)) else ""
    values = {
        "agent": task.agent.name,
        "order": f"{prefix}{draws.randrange(10_100, 99_900) // 1000}{draws.randrange(100, 1000)}",
        "item": draws.choice(_items(text, deeds)),
        "address": f"{draws.randrange(1, 90)} {draws.choice(_STREETS)}, {person.location}",
        "email": f"{person.name.split()[0].lower()}@example.com",
    }
    turn = task.index % (len(roles) + len(free)) if roles else len(roles)
    role = roles[turn] if turn < len(roles) else _general(task.index, free, first)
    return PersonaSpec(
        name=person.name,
        age=person.age,
        occupation=person.occupation,
        location=person.location,
        background=role.background.format_map(values),
        goals=tuple(goal.format_map(values) for goal in role.goals),
        frustrations=role.frustrations,
        typing_style=role.style,
        sample_phrases=tuple(phrase.format_map(values) for phrase in role.phrases),
        stop_conditions=role.stops,
        simulation_tags=role.tags,
    )


def _person(task: PersonaDraftTask) -> _Person:
    """Somebody whose name is not taken, another for each index."""
    taken = {name.casefold() for name in task.drafted_names}
    free = [person for person in _PEOPLE if person.name.casefold() not in taken]
    if task.index < len(free):
        return free[task.index]
    person = _PEOPLE[task.index % len(_PEOPLE)]
    number = task.index + 1
    while f"{person.name} {number}".casefold() in taken:
        number += task.options.personas or 1
    return _Person(f"{person.name} {number}", person.age, person.occupation, person.location)


def _general(index: int, deeds: tuple[Deed, ...], first: int) -> _Role:
    """Somebody who wants what the agent's description speaks of."""
    if deeds:
        deed, other = deeds[(index + first) % len(deeds)], deeds[(index + first + 1) % len(deeds)]
        values = {"goal": deed.goal, "subject": deed.subject, "other": other.goal}
        filled = (goal.format_map(values) for goal in _OF_A_DEED[index % len(_OF_A_DEED)])
        goals = tuple(dict.fromkeys(_escaped(goal) for goal in filled))
    else:
        goals = _GENERAL[index % len(_GENERAL)]
    return _Role(
        frozenset(),
        "They use {agent} for the first time. They pay by card. Their address is {address}. Their email is "
        "{email}.",
        goals,
        ("Vague answers", "Having to repeat everything", "Being treated rudely"),
        (),
        ("The agent is rude twice", "There is no answer twice"),
        _MOODS[index % len(_MOODS)],
        ("general",),
    )


def _escaped(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def _items(text: str, deeds: tuple[Deed, ...]) -> tuple[str, ...]:
    """What the agent's customers may have bought."""
    sold = tuple(singular(deed.sold) for deed in deeds if deed.sold)
    return sold or (_ITEMS if _OUTDOOR.search(text) else _THINGS)
