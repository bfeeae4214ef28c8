"""A persona's words: its goals, frustrations and facts as it would say them."""

from __future__ import annotations

import functools
import re

from mimic_server.llm.scripted.facts import stems

_PRONOUNS = (
    (re.compile(r"\b(?:their|his|her|your|the customer's)\b", re.IGNORECASE), "my"),
    (re.compile(r"\b(to|for|with) (?:them|him|her)\b", re.IGNORECASE), r"\1 me"),
    (re.compile(r"\b(?:they|he|she) (?:has|have)\b", re.IGNORECASE), "I have"),
    (re.compile(r"\b(?:they|he|she)\b", re.IGNORECASE), "I"),
)
_WH = re.compile(
    r"(?:to )?(?:find out|figure out|learn|know|hear|ask|check|see|understand|be told|get told)(?: about)? "
    r"((?:when|where|what|who|why|how|which|whether|if)\b.*)",
    re.IGNORECASE,
)
_KNOW = re.compile(r"(?:to )?(?:find out|learn|know|hear|get to know|check)(?: about)? (.*)", re.IGNORECASE)
_ASK_ABOUT = re.compile(r"(?:to )?(?:ask|enquire|inquire|talk) about (.*)", re.IGNORECASE)
_ASK_FOR = re.compile(r"(?:to )?(?:ask for|request|demand) (.*)", re.IGNORECASE)
_NOUN = re.compile(r"(?:an?|the|my|some|more) .*", re.IGNORECASE)

_IRREGULAR = {
    "is": "am",
    "are": "am",
    "was": "was",
    "were": "was",
    "has": "have",
    "does": "do",
    "pays": "pay",
}

GREETINGS = ("Hi!", "Hello,", "Hey,", "Good day,", "Hi there,")
THANKS = ("Thanks.", "Okay, thank you.", "Good, thanks.", "All right.")
GOODBYES = (
    "Thanks for your help, that's all. Bye!",
    "Great, thank you, that is all I needed. Goodbye!",
    "Thank you, that's all. Have a nice day!",
)
GIVE_UPS = (
    "This is going nowhere, I give up. Goodbye.",
    "That did not help me. Goodbye.",
    "I'll try elsewhere then. Goodbye.",
)
STOPS = ("That's enough, I'm leaving. Goodbye.", "I am done here. Goodbye.", "Enough. Goodbye.")
AGAIN = ("Let me put it another way:", "Once more:", "Sorry, I meant:")
UNANSWERED = ("That does not answer my question.", "That is not what I asked.", "I still need an answer.")
IMPATIENT = (
    "That has nothing to do with what I asked. Once and for all:",
    "I am losing my patience. Please read what I write:",
    "Are you even listening? Again:",
)
WAITING = ("Hello? Are you still there?", "Is anybody there?", "Hello??")
TOLD = ("I already told you: {}.", "As I said, it is {}.", "Again: {}. I gave you that before.")
GIVING = ("It's {}.", "{}.", "Sure, {}.", "That would be {}.")
UNKNOWN = ("I don't know that, sorry.", "I don't have that at hand.", "No idea, sorry.")
SURE = ("That is what I have: {}. Please check again.", "It is {}, I am sure. Please look again.")
RUDE = ("There is no need to be rude.", "Please mind your tone.", "That is no way to talk to a customer.")
YES = ("Yes, please.", "Yes.", "Yes, go ahead.")
NEVER_MIND = ("Never mind then.", "Forget it.", "Leave it, then.")
ANNOYED = ("Honestly: {}.", "I can't stand this: {}.", "This is what I mean: {}.")


@functools.lru_cache(maxsize=2048)
def asked(goal: str) -> str:
    """A goal as a question or a wish."""
    text = goal.strip().rstrip(".")
    if text.endswith("?"):
        return text
    for pattern, mine in _PRONOUNS:
        text = pattern.sub(mine, text)
    for pattern, form in (
        (_WH, "Can you tell me {}?"),
        (_ASK_ABOUT, "I have a question about {}."),
        (_ASK_FOR, "I'd like {}."),
        (_KNOW, "Can you tell me {}?"),
        (_NOUN, "I'd like {}."),
    ):
        if match := pattern.fullmatch(text):
            said = match.group(match.lastindex or 0)
            return form.format(_lower_first(said) if form.endswith("?") or pattern is _NOUN else said)
    return f"I'd like to {_lower_first(text.removeprefix('to ').removeprefix('To '))}."


@functools.lru_cache(maxsize=512)
def own(goals: tuple[str, ...], phrases: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    """The persona's own phrases for each goal: each phrase goes to the goal that it has most words of."""
    wanted = [stems(goal) for goal in goals]
    found: list[list[str]] = [[] for _ in goals]
    for phrase in phrases:
        shared = [len(stems(phrase) & words) for words in wanted]
        if max(shared):
            found[shared.index(max(shared))].append(phrase)
    return tuple(map(tuple, found))


@functools.lru_cache(maxsize=512)
def spoken(fact: str, background: str, name: str) -> str:
    """A sentence of the persona's background as the persona would say it: in the first person.

    Args:
        fact: The sentence.
        background: All of it; where it says "she" or "he", "they" are others.
        name: The persona's.
    """
    singular = re.search(r"\b(?:she|he)\b", background, re.IGNORECASE)
    who, whose = ("she|he", "her|his") if singular else ("they|she|he", "their|her|his")
    first = name.split(maxsplit=1)[0] if name.split() else name
    called = f"(?:{re.escape(name)}|{re.escape(first)})"
    text = re.sub(rf"\b{called}'s\b", "my", fact)
    text = re.sub(rf"\b{called}\b", "I", text)
    text = re.sub(r"\b(to|for|with|at|from) (?:her|him)(?=[.,;]|$)", r"\1 me", text)
    text = re.sub(rf"\b(?:{who})\b", "I", text, flags=re.IGNORECASE)
    text = re.sub(rf"\b(?:{whose})\b", "my", text, flags=re.IGNORECASE)
    text = re.sub(r"\bI (\w+)", lambda match: f"I {_first_person(match.group(1))}", text)
    if text.startswith("I "):
        text = re.sub(
            r"\band (has|is|does|wants|needs)\b", lambda m: f"and {_first_person(m.group(1))}", text
        )
    return text[:1].upper() + text[1:]


def _first_person(verb: str) -> str:
    if plain := _IRREGULAR.get(verb):
        return plain
    if verb.endswith("ies"):
        return verb[:-3] + "y"
    if verb.endswith(("sses", "shes", "ches", "xes", "oes")):
        return verb[:-2]
    return verb[:-1] if verb.endswith("s") and not verb.endswith(("ss", "us", "ays")) else verb


def complaint(frustration: str) -> str:
    """A frustration within a sentence."""
    return _lower_first(frustration.strip().rstrip("."))


def _lower_first(text: str) -> str:
    return text[0].lower() + text[1:] if len(text) > 1 and text[1].islower() else text
