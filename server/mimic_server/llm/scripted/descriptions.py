"""What an agent does, read from its description: each thing it does as a wish of its customer."""

from __future__ import annotations

import re
from dataclasses import dataclass

_SPLIT = re.compile(r"[.,;:\n]|\b(?:and|or)\b", re.IGNORECASE)
_LEAD = re.compile(
    r"^(?:(?:it|they|we|he|she|which|that|who|also|can|will|then|and"
    r"|(?:the|this|our) (?:chat)?(?:bot|agent|assistant))"
    r" +)*(?:(?:helps?|lets?|allows?|enables?|assists?) +(?:(?:its|our|the) )?"
    r"(?:you|customers?|users?|people|clients?|guests?|patients?|members?) +(?:to +)?)?",
    re.IGNORECASE,
)
_ASKED = frozenset(
    (
        "tell",
        "give",
        "show",
        "provide",
        "answer",
        "inform",
        "explain",
        "speak",
        "know",
        "list",
        "offer",
        "support",
    )
)
_DOES = frozenset(  # a list of words reads best as text
    """
    take accept sell help assist handle process check change book cancel open transfer send block order
    track find look recommend manage schedule reserve report update pay buy rent return make plan
    translate calculate
    compare register renew reset deliver resolve fix repair install arrange create request file
    submit view see get apply
    """.split()  # noqa: SIM905
)
_ORDERS = re.compile(r"(?:takes?|accepts?|handles?) orders? (?:for|of) (.+)|sells? (.+)", re.IGNORECASE)
_ABOUT = re.compile(r"^(?:(?:all )?questions? )?(?:about|on|for|with|of|to)? ?", re.IGNORECASE)
_MY = re.compile(r"\b(?:their|your|its|his|her)\b", re.IGNORECASE)
_MAX = 60


@dataclass(frozen=True, slots=True)
class Deed:
    """One thing that an agent does."""

    goal: str
    """What a customer wants of it."""
    subject: str
    """What it is about, as a noun."""
    sold: str = ""
    """What can be ordered of it."""


def deeds_of(description: str) -> tuple[Deed, ...]:
    """What the agent does, in the description's order. Empty where it names nothing."""
    deeds: list[Deed] = []
    verb = ""
    for clause in _SPLIT.split(description):
        text = _LEAD.sub("", " ".join(clause.split()))[:_MAX]
        if not text:
            continue
        first, _, rest = text.partition(" ")
        known = _base(first.lower())
        if known and rest:
            verb = known
        elif verb:
            rest = text  # A list goes on: "accounts, cards and transfers".
        if not verb or not rest:
            continue
        if deed := _deed(verb, _MY.sub("my", rest), text):
            deeds.append(deed)
    return tuple(dict.fromkeys(deeds))


def singular(noun: str) -> str:
    """One of what a noun names."""
    if noun.endswith("ies"):
        return noun[:-3] + "y"
    return noun[:-1] if noun.endswith("s") and not noun.endswith("ss") else noun


def _base(word: str) -> str:
    """A known verb's plain form. Returns an empty text for any other word."""
    forms = (word, word[:-1], word[:-2], word[:-3] + "y") if word.endswith("s") else (word,)
    return next((form for form in forms if form in _ASKED or form in _DOES), "")


def _deed(verb: str, rest: str, text: str) -> Deed | None:
    if found := _ORDERS.fullmatch(text):
        sold = found.group(1) or found.group(2)
        return Deed(f"Order {sold}", sold, sold)
    subject = _ABOUT.sub("", rest)
    if not subject:
        return None
    if subject.lower().startswith("complaint"):
        return Deed("Make a complaint", "my complaint")
    if verb in _ASKED:
        return Deed(f"Ask about {subject}", subject)
    if verb in {"help", "assist", "handle", "process", "manage", "resolve", "take", "accept"}:
        return Deed(f"Get help with {subject}", subject)
    if verb == "sell":
        return Deed(f"Order {subject}", subject, subject)
    return Deed(f"{verb.capitalize()} {rest}", re.sub(r"^(?:up|for|out) ", "", rest))
