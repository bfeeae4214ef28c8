"""What a persona knows, picked from its background and goals, and what an agent's question is after."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass

from mimic_server.domain.personas import PersonaSpec

_ID = re.compile(r"\b[A-Z]{1,6}-?\d{3,}(?:-\d+)*\b|\b\d{5,}\b|\b[A-Z]{2,}\d[A-Z0-9]{2,}\b")
_EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_PHONE = re.compile(r"(?<![\w-])\+?\d(?:[\d ()/-]{5,})\d(?![\w-])")
_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*"
_DATE = re.compile(
    rf"\b\d{{4}}-\d\d-\d\d\b|\b\d{{1,2}}(?:st|nd|rd|th)? (?:of )?{_MONTH}\b(?: \d{{4}})?"
    rf"|\b{_MONTH} \d{{1,2}}(?:st|nd|rd|th)?\b(?:,? \d{{4}})?|\b(?:yesterday|last \w+day|last week)\b",
    re.IGNORECASE,
)
_ADDRESS = re.compile(
    r"\b(?:address(?: is|:)?|moved to|moving to|lives? (?:at|in)|living at|delivered? to)\s+"
    r"([^.;\n]*?\d[^.;\n]*)",
    re.IGNORECASE,
)
_POSTCODE = re.compile(r"\b\d{5}\b|\b[A-Z]{1,2}\d[A-Z\d]? ?\d[A-Z]{2}\b")
_SENTENCE = re.compile(r"[^.!?\n]+[.!?]?")
_WORD = re.compile(r"[^\W\d_]{4,}")
_STEM = 5
_COMMON = frozenset(  # a list of words reads best as text
    """
    about after again agent along already also another answer asked because before being cannot could didn
    does done else ever every everything find from gets give going good have having heard help here hope into
    just keep know later least like long look made make many more most much must need never only other over
    please same says should since some something soon still such take tell than thank that their them then
    there these they thing things this those told under until very want wants well were what when where
    whether which while will with without would your yours
    """.split()  # noqa: SIM905
)


def stems(text: str) -> frozenset[str]:
    """The words that carry meaning, cut to their beginnings, so that "delivered" meets "delivery"."""
    return frozenset(word[:_STEM] for word in map(str.lower, _WORD.findall(text)) if word not in _COMMON)


@dataclass(frozen=True, slots=True)
class Facts:
    """What a persona knows."""

    values: Mapping[str, str]
    """By slot (see `reading.SLOTS`)."""
    sentences: tuple[tuple[str, frozenset[str]], ...]
    """Of the background, with their stems."""

    def about(self, question: str) -> str:
        """The sentence of the background that a question is after. Returns an empty text if there is none."""
        wanted = stems(question)
        best, score = "", 0
        for sentence, words in self.sentences:
            shared = len(words & wanted)
            if shared > score:
                best, score = sentence, shared
        return best


def facts_of(persona: PersonaSpec) -> Facts:
    """What a persona knows."""
    return _facts(persona.name, persona.background, persona.goals)


@functools.lru_cache(maxsize=512)
def _facts(name: str, background: str, goals: tuple[str, ...]) -> Facts:
    text = "\n".join((background, *goals))
    values = {"name": name}
    sentences = [sentence.strip() for sentence in _SENTENCE.findall(background) if sentence.strip()]
    address = _ADDRESS.search(text)
    if address:
        values["address"] = address.group(1).strip(" ,")
        if postcode := _POSTCODE.search(values["address"]):
            values["postcode"] = postcode.group()
    bare = text.replace(values.get("address", "\0"), " ")
    for slot, word in (("order", "order"), ("reference", "")):
        number = _id_near(bare, word) or (_id_near(bare, "") if slot == "order" else "")
        if number:
            values[slot] = number
    for slot, pattern in (("email", _EMAIL), ("date", _DATE)):
        if found := pattern.search(text):
            values[slot] = found.group()
    for found in _PHONE.finditer(bare):
        if not _ID.fullmatch(found.group()) and not _DATE.fullmatch(found.group()):
            values["phone"] = found.group().strip()
            break
    if sentences:
        values["details"] = sentences[0]
    return Facts(values, tuple((sentence, stems(sentence)) for sentence in sentences))


def _id_near(text: str, word: str) -> str:
    """The first number or code in a sentence with a word. Returns an empty text if there is none."""
    for sentence in re.split(r"[.;\n]", text):
        if word in sentence.lower() and (found := _ID.search(sentence)):
            return found.group()
    return ""
