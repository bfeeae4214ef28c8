"""What an agent's answer amounts to, by patterns: an answer, a question for something, a shrug, an insult."""

from __future__ import annotations

import enum
import functools
import re
from collections.abc import Container, Sequence
from dataclasses import dataclass


class Kind(enum.Enum):
    """What an answer is good for."""

    SILENCE = "silence"
    FALLBACK = "fallback"
    """It was not understood."""
    NOT_FOUND = "not found"
    REFUSAL = "refusal"
    ASKS = "asks for something"
    CONFIRM = "asks yes or no"
    ASKS_UNKNOWN = "asks for something else"
    OFF_TOPIC = "answers something else"
    """It has nothing to do with what was asked."""
    NOTHING = "says nothing"
    """A greeting or a courtesy alone."""
    ANSWER = "answer"


@dataclass(frozen=True, slots=True)
class Reading:
    """An answer as it was understood."""

    kind: Kind
    slots: tuple[str, ...] = ()
    """What it asks for, where it asks for something known here."""
    rude: bool = False


_NUMBER = r"\s*(?:number|no\b|id\b|code|reference)"
_WHAT = r"\bwhat (?:exactly )?(?:is|was|went|seems)\b.*\b(?:problem|issue|matter|wrong)"
SLOTS: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (name, re.compile(pattern, re.IGNORECASE))
    for name, pattern in (
        (
            "order",
            r"\border\s*(?:number|no\b|id\b|#|reference|code)|number of (?:your|the) order|which order\b",
        ),
        (
            "reference",
            r"\b(?:booking|reservation|ticket|case|customer|account|invoice|tracking|contract|reference|serial)"
            + _NUMBER,
        ),
        ("email", r"\b(?:your|an?|what|which) e-?mail\b"),
        ("address", r"(?<!mail )\baddress\b|\bwhere do you live\b"),
        ("phone", r"\b(?:phone|telephone|mobile)\b|\bnumber (?:can we|to) (?:reach|call)"),
        ("postcode", r"\bpost\s?code|\bzip\b"),
        ("name", r"\b(?:your|full|first|last|family) name\b"),
        ("date", r"\b(?:what|which) (?:date|day)\b|\bdate of\b|\bwhen did you\b|\bon what day\b"),
        ("picture", r"\b(?:photo|picture|image|screenshot)s?\b"),
        ("details", r"\b(?:more|further) (?:details|information)\b|\bdescribe\b|\btell me more\b|" + _WHAT),
    )
)
"""What agents ask for, and how they do."""

_SENTENCE = re.compile(r"[^.!?\n]*[.!?\n]+|[^.!?\n]+$")
_REQUEST = re.compile(
    r"\?|\bplease (?:tell|give|provide|enter|send|share|confirm|state|upload)\b"
    r"|\b(?:could|can|would|will) you\b|\bneed (?:your|the|to know)\b|\blet me know\b|\b(?:may|can) i have\b",
    re.IGNORECASE,
)
_COURTESY = re.compile(
    r"\banything else\b|\bhow (?:can|may|could) (?:i|we) (?:help|assist)|\bwhat can (?:i|we) (?:do|help)"
    r"|\bcan i help\b|\bhelp you (?:with|today)",
    re.IGNORECASE,
)
_POLITE = re.compile(
    r"^\W*(?:hi|hello|hey|good (?:day|morning|afternoon|evening)|welcome|you have reached|this is|thanks?"
    r"|sure|of course|certainly|happy to|no problem|got it|okay|ok\b|great|you're welcome|my pleasure|glad"
    r"|i can (?:look|check|help)|let me (?:check|look)|one moment|just a moment)",
    re.IGNORECASE,
)
_FALLBACK = re.compile(
    r"\bnot sure (?:i|what)\b.*(?:underst|mean)|\b(?:did not|didn't|don't|do not|couldn't|could not)"
    r" (?:quite )?(?:get|catch|understand|follow)\b"
    r"|\brephrase\b|\banother way\b|\bbeyond me\b|\bcould you repeat\b|\bsay that again\b|\bi only help\b",
    re.IGNORECASE,
)
_NOT_FOUND = re.compile(
    r"\b(?:cannot|can't|can not|could not|couldn't|unable to|not able to) (?:find|locate|see)\b"
    r"|\b(?:there is|there's|we have|i have|i see) no (?:such )?\w+|\bdoes(?: not|n't) exist\b|\bno record\b",
    re.IGNORECASE,
)
_REFUSAL = re.compile(
    r"\b(?:cannot|can't|unable to|not able to|won't|will not)"
    r" (?:do|help|offer|give|change|refund|process|assist|provide|cancel)\b"
    r"|\bnot possible\b|\bunfortunately\b|\bagainst (?:our|the) policy\b",
    re.IGNORECASE,
)
_CONFIRM = re.compile(
    r"\b(?:shall|should) i\b|\bwould you like\b|\bdo you want\b|\bis (?:that|this|it) (?:right|correct|ok)"
    r"|\bdo you (?:confirm|agree)\b|\bare you sure\b",
    re.IGNORECASE,
)
_RUDE = re.compile(
    r"\b(?:stupid|idiot\w*|dumb|moron\w*|pathetic|ridiculous|shut up|whin\w+|sick of|waste of my time"
    r"|i do(?: not|n't) care|not my problem|it is your problem|it's your problem|get lost|fool\w*|useless)\b",
    re.IGNORECASE,
)
_BY_WEIGHT = (
    Kind.ASKS,
    Kind.CONFIRM,
    Kind.NOT_FOUND,
    Kind.REFUSAL,
    Kind.ANSWER,
    Kind.ASKS_UNKNOWN,
    Kind.FALLBACK,
    Kind.NOTHING,
)
_WORD = re.compile(r"\w+")
_MIN_WORDS = 3
_MIN_AFTER_COURTESY = 7
_MAX_READ = 4000


def combined(readings: Sequence[Reading], known: Container[str]) -> Reading:
    """What several messages of one turn amount to.

    Args:
        readings: One of each message.
        known: Slots that the agent was told before: to ask for them beside an answer is not to ask.
    """
    slots = tuple(dict.fromkeys(slot for reading in readings for slot in reading.slots))
    rude = any(reading.rude for reading in readings)
    kinds = {reading.kind for reading in readings}
    if Kind.ANSWER in kinds and all(slot in known for slot in slots):
        return Reading(Kind.ANSWER, slots, rude)
    kind = next((kind for kind in _BY_WEIGHT if kind in kinds), Kind.SILENCE)
    return Reading(kind, slots, rude)


@functools.lru_cache(maxsize=4096)
def read(text: str) -> Reading:
    """Reads what an agent said. Empty: it was silent."""
    text = text[:_MAX_READ].strip()
    if not text:
        return Reading(Kind.SILENCE)
    rude = _RUDE.search(text) is not None
    if _FALLBACK.search(text):
        return Reading(Kind.FALLBACK, rude=rude)
    if _NOT_FOUND.search(text):
        return Reading(Kind.NOT_FOUND, rude=rude)
    requests, statements = [], 0
    for sentence in _SENTENCE.findall(text):
        if _COURTESY.search(sentence):
            continue
        if _REQUEST.search(sentence):
            requests.append(sentence)
        elif len(_WORD.findall(sentence)) >= (_MIN_AFTER_COURTESY if _POLITE.match(sentence) else _MIN_WORDS):
            statements += 1
    asked = " ".join(requests)
    slots = tuple(name for name, pattern in SLOTS if pattern.search(asked)) if asked else ()
    return Reading(_kind(text, asked, slots, statements), slots, rude)


def _kind(text: str, asked: str, slots: tuple[str, ...], statements: int) -> Kind:
    if slots:
        return Kind.ASKS
    if _REFUSAL.search(text):
        return Kind.REFUSAL
    if _CONFIRM.search(asked):
        return Kind.CONFIRM
    if statements:
        return Kind.ANSWER
    if asked:
        return Kind.ASKS_UNKNOWN
    return Kind.ANSWER if any(letter.isdigit() for letter in text) else Kind.NOTHING
