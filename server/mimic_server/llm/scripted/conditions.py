"""What annoys a persona, counted, and the stop conditions that are about it."""

from __future__ import annotations

import enum
import functools
import re
from collections import Counter
from collections.abc import Sequence

from mimic_server.llm.scripted.facts import stems


class Annoyance(enum.Enum):
    """Something that an agent does wrong."""

    REPEATED = "repeated"
    """It asked for what it had been told."""
    UNHELPFUL = "unhelpful"
    """Its answer was none."""
    RUDE = "rude"
    SILENT = "silent"


_ABOUT: dict[Annoyance, re.Pattern[str]] = {
    Annoyance.RUDE: re.compile(r"rude|insult|hostil|unfriendl|polite|curt|tone|respect", re.IGNORECASE),
    Annoyance.REPEATED: re.compile(
        r"repeat|again|same (?:thing|question|number)|already (?:told|gave|given)|forg[eo]t|remember",
        re.IGNORECASE,
    ),
    Annoyance.SILENT: re.compile(r"silen|no (?:answer|reply|response)|wait|slow|not answer", re.IGNORECASE),
    Annoyance.UNHELPFUL: re.compile(
        r"not (?:help|understand)|useless|unhelpful|understand|vague|evasive|bot|standard|no solution|clear",
        re.IGNORECASE,
    ),
}
_HAPPENED = {
    Annoyance.RUDE: "The agent was rude",
    Annoyance.REPEATED: "The agent asked for what it had been told",
    Annoyance.SILENT: "There was no answer",
    Annoyance.UNHELPFUL: "The answer was none",
}
_TIMES = re.compile(r"\b(once|one|twice|two|three|four|five|[1-9])\b", re.IGNORECASE)
_NUMBERS = {"once": 1, "one": 1, "twice": 2, "two": 2, "three": 3, "four": 4, "five": 5}
_MORE_THAN = re.compile(r"\bmore than\b|\bover\b", re.IGNORECASE)
_ACTORS = stems("agent agents assistant customer support chatbot tells answers offers gives persona")


@functools.lru_cache(maxsize=1024)
def about(text: str) -> Annoyance | None:
    """What a frustration or a stop condition is about. Returns None if it is about something else."""
    return next((kind for kind, pattern in _ABOUT.items() if pattern.search(text)), None)


def met(conditions: Sequence[str], counts: Counter[Annoyance], reply: str) -> str | None:
    """The first stop condition that is met. Returns None if none is.

    Args:
        conditions: The persona's.
        counts: How often it was annoyed, and by what.
        reply: The agent's last answer; a condition about something else is met if its words are in it.
    """
    said: frozenset[str] | None = None
    for condition in conditions:
        kind = about(condition)
        if kind is not None:
            if counts[kind] >= _times(condition):
                return condition
            continue
        wanted = stems(condition) - _ACTORS
        if said is None:
            said = stems(reply)
        if wanted and 3 * len(wanted & said) >= 2 * len(wanted):
            return condition
    return None


def met_because(condition: str, counts: Counter[Annoyance]) -> str:
    """Why a condition is met, in one sentence."""
    kind = about(condition)
    if kind is None:
        return "The agent's answer says so."
    times = counts[kind]
    return f"{_HAPPENED[kind]} {times} times." if times > 1 else f"{_HAPPENED[kind]} once."


@functools.lru_cache(maxsize=1024)
def _times(condition: str) -> int:
    found = _TIMES.search(condition)
    if not found:
        return 1
    word = found.group().lower()
    number = _NUMBERS.get(word) or int(word)
    return number + 1 if _MORE_THAN.search(condition) else number
