"""What the "model" says: a brain for each schema name, and the schema itself for all others.

A brain suggests values by property name; the generator puts them where the schema has room for them. So a
brain outlives a change of its schema, and every answer is valid whatever the schema has become.
"""

import dataclasses
import itertools
import json
import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tests.support.openai_server.generate import Either, instance_of
from tests.support.openai_server.strict_schema import Schema
from tests.support.shapes.echo import Reply, reply_to


@dataclasses.dataclass(frozen=True)
class Ask:
    """What a brain is asked."""

    messages: Sequence[Mapping[str, Any]]
    """The request's messages; their content may be a text, a list of parts, or None."""
    turns: int
    """The persona stops with this turn; 0 means never."""
    seed: int

    def texts(self, *roles: str) -> list[str]:
        """The texts of the messages of these roles, or of all.

        Args:
            roles: Such as `user`; none means all.
        """
        return [text_of(message) for message in self.messages if not roles or message["role"] in roles]


Brain = Callable[[Ask], Mapping[str, Any]]


def text_of(message: Mapping[str, Any]) -> str:
    """The text of a message, its parts joined.

    Args:
        message: One of a request's messages.
    """
    content = message.get("content")
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content or ())


def structured_answer(name: str, schema: Schema, ask: Ask) -> Any:
    """Answers with an instance of a schema.

    Args:
        name: The schema's name; it picks the brain.
        schema: The schema.
        ask: What was asked.
    """
    brain = BRAINS.get(name)
    # The first messages are what makes one persona, or one judgement, differ from the next.
    key = zlib.crc32("\0".join(ask.texts()).encode(), ask.seed)
    return instance_of(schema, key, brain(ask) if brain else None)


def plain_answer(ask: Ask) -> Reply:
    """Answers a request without a schema, as the agents of `tests.support.shapes` do.

    Args:
        ask: What was asked.

    Raises:
        tests.support.shapes.echo.BoomError: The last message is `boom`.
    """
    texts = ask.texts("user")
    return reply_to(len(texts), texts[-1] if texts else "")


_SCRIPT: tuple[tuple[str, ...], ...] = (
    ("Hi there! Where is my order?",),
    ("It's NW-{order}.",),
    ("OK.", "And when will it arrive exactly?"),
    ("I told you already... NW-{order}",),
    ("What are your opening hours?",),
    ("Can I get a refund if it comes too late?",),
    ("Can you change my delivery address?",),
    ("Elm Street {house}, 12345 Springfield",),
    ("For NW-{order}",),
    ("Great, thanks",),
)
_GOODBYE = "Thanks, that's all. Bye!"
_TURN_NOTE = re.compile(r"\(Turn (\d+) of at most \d+\.")
_PERSONA_LINE = re.compile(r"(?im)^\W*(?:\[?\d+\]?\W+)?(?:persona|customer|you)\b[^:\n]{0,40}:")
_ORDER_NUMBER = re.compile(r"\bNW-?(\d{4,8})\b")
_OFFERED_CHOICE = re.compile(r"\[choice '([^']+)'")
_CAN_TAKE_CHOICES = "id of an offered choice if you press it"
_CAN_SEND_PICTURES = "true if you send a picture"


def persona_turn(ask: Ask) -> Mapping[str, Any]:
    """Plays a customer of the bundled example agent, in a way that meets each of its faults.

    It names the order number of its background, if that has one; it takes the first choice that the agent
    offered last, and sends a picture when it is asked for one, where the prompt says that it can.

    Args:
        ask: What was asked.
    """
    turn = _turn(ask)
    if ask.turns and turn >= ask.turns:
        return {
            **_said(_GOODBYE),
            "decision": Either(("stop", "end")),
            "stop": True,
            "stop_reason": Either(("goals_reached", "goal_reached")),
            "reasoning": "All goals are reached.",
        }
    going_on = {
        "decision": Either(("continue", "go_on")),
        "stop": False,
        "stop_reason": Either((None, "none")),
        "reasoning": f"Turn {turn}: the goals are not reached yet.",
    }
    system = ask.texts()[0]
    newest = text_of(ask.messages[-1])
    choice = _OFFERED_CHOICE.search(newest)
    if choice and _CAN_TAKE_CHOICES in system:
        return {**_said(), **going_on, "take_choice": choice.group(1)}
    key = zlib.crc32(system.encode(), ask.seed)
    known = _ORDER_NUMBER.search(system)
    order = known.group(1) if known else 10_001 + key % 89_999
    lines = [line.format(order=order, house=1 + key % 90) for line in _SCRIPT[(turn - 1) % len(_SCRIPT)]]
    picture = _CAN_SEND_PICTURES in system and re.search(r"(?im)^> .*\b(picture|photo)", newest) is not None
    return {**_said(*lines), **going_on, "send_picture": picture}


def _said(*lines: str) -> dict[str, Any]:
    """What every turn has: its words, and nothing of what a turn may have besides."""
    return {
        "messages": list(lines),
        "message": " ".join(lines),
        "take_choice": None,
        "send_picture": False,
        "stop_condition": None,
    }


def _turn(ask: Ask) -> int:
    """Finds the turn that is asked for.

    It is said in the prompt, or else one more than the persona had: runs of assistant messages, or else lines
    of a transcript in a message.
    """
    said = _TURN_NOTE.search(text_of(ask.messages[-1]))
    if said:
        return int(said.group(1))
    roles = [message["role"] for message in ask.messages]
    runs = sum(role == "assistant" and roles[index - 1] != "assistant" for index, role in enumerate(roles))
    return 1 + (runs or sum(len(_PERSONA_LINE.findall(text)) for text in ask.texts("user")))


_RUDE = re.compile(r"(?i)stupid|pathetic|ridiculous|sick of|shut up|idiot")
_ASKS_ORDER = re.compile(r"(?i)order number")
_ON_MANNERS = re.compile(r"(?i)polite|courte|respect|friendly|\brude|hostile")
_ON_RUDENESS = re.compile(r"(?i)\brude|hostile|impolite")
_ON_MEMORY = re.compile(r"(?i)remember|forget|twice|again|repeat")
_ON_REPEATING = re.compile(r"(?i)forget|twice|again|repeat")
_AS_IT_SHOULD_BE = re.compile(r"(?i)never|\bnot?\b|without|n't|remember|\bpolite|friendly|courte|respect")


@dataclasses.dataclass(frozen=True)
class _Line:
    number: int
    text: str
    by_agent: bool


def judgement(ask: Ask) -> Mapping[str, Any]:
    """Judges a transcript by its words: rude or not, asked twice or not, as the question asks.

    Args:
        ask: What was asked: lines of JSON with seq, from and text, or lines that begin with a number.
    """
    prompt = "\n".join(ask.texts("user"))
    lines = _transcript(prompt)
    question = _question(prompt)
    found: list[int] = []
    if _ON_MANNERS.search(question):
        found += [line.number for line in lines if line.by_agent and _RUDE.search(line.text)]
    if _ON_MEMORY.search(question):
        asked = [line.number for line in lines if line.by_agent and _ASKS_ORDER.search(line.text)]
        found += asked[1:]
    wants_fault = _ON_RUDENESS.search(question) or _ON_REPEATING.search(question)
    holds = bool(found) if wants_fault and not _AS_IT_SHOULD_BE.search(question) else not found
    explanation = "The transcript shows what is asked." if holds else "The transcript shows otherwise."
    return {
        "explanation": explanation,
        "reasoning": explanation,
        "evidence": (found or [line.number for line in lines[:1]])[:5],
        "value": _value(prompt, holds=holds, count=len(found)),
        "verdict": Either(("pass", "yes", True) if holds else ("fail", "no", False)),
        "score": 1.0 if holds else 0.0,
        "confidence": 0.9,
    }


def _value(prompt: str, *, holds: bool, count: int) -> Any:
    """A judgement's value on the scale that the prompt names."""
    scale = prompt.rpartition("\nValue: ")[2]
    if scale.startswith("from 0 to 100"):
        return 100.0 if holds else 50.0
    if scale.startswith("from -1"):
        return 0.6 if holds else -0.8
    if scale.startswith("how often"):
        return count
    return Either((holds, float(holds)))


def _transcript(prompt: str) -> list[_Line]:
    lines = []
    for line in prompt.splitlines():
        if line.startswith("{"):
            try:
                row = json.loads(line)
            except ValueError:
                continue
            lines.append(_Line(row.get("seq", 0), row.get("text", ""), row.get("from") == "agent"))
        elif found := re.match(r"\W*(\d+)\W+(.*)", line):
            customer = _PERSONA_LINE.match(line) is not None
            lines.append(_Line(int(found.group(1)), found.group(2), not customer))
    return lines


def _question(prompt: str) -> str:
    """What is asked, without the transcript: it is the transcript that is full of "order number"."""
    _, found, tail = prompt.rpartition("Question: ")
    return tail.partition("\nValue: ")[0] if found else prompt


def sentiment(ask: Ask) -> Mapping[str, Any]:
    """Scores messages by their words: each that the question names, and all of them together.

    Args:
        ask: What was asked.
    """
    prompt = "\n".join(ask.texts("user"))
    lines = {line.number: line.text for line in _transcript(prompt)}
    named = re.search(r"to their reader: ([\d, ]+)\?", prompt)
    seqs = [int(number) for number in named.group(1).split(",")] if named else list(lines)
    scores = [{"seq": seq, "score": -0.8 if _RUDE.search(lines.get(seq, "")) else 0.6} for seq in seqs]
    hostile = _RUDE.search(prompt) is not None
    whole = -0.8 if hostile else 0.6
    return {
        "scores": scores,
        "score": whole,
        "sentiment_score": whole,
        "sentiment": Either((whole, "negative" if hostile else "positive")),
        "explanation": "The wording is hostile." if hostile else "The wording is friendly.",
    }


def persona_draft(ask: Ask) -> Mapping[str, Any]:
    """Drafts a persona whose background has what `persona_turn` talks of.

    Args:
        ask: What was asked.
    """
    prompt = "\n".join(ask.texts())
    key = zlib.crc32(prompt.encode(), ask.seed)
    names = [f"{first} {last}" for last in _LAST_NAMES for first in _FIRST_NAMES]
    free = [name for name in names if name not in prompt]
    draft = {
        "name": free[key % len(free)],
        "background": f"Ordered a tent, order NW-{10_001 + key % 89_999}, for a trip next week.",
        "locale": "en",
        "simulation_tags": ["drafted"],
    }
    return {**draft, "persona": draft, "personas": [draft]}


_FIRST_NAMES = ("Maria", "Tom", "Aisha", "Jonas", "Grace", "Yuki", "Pedro", "Ingrid", "Sam", "Leila", "Marek")
_LAST_NAMES = (
    "Lopez",
    "Becker",
    "Khan",
    "Lind",
    "Okafor",
    "Tanaka",
    "Silva",
    "Berg",
    "Reed",
    "Haddad",
    "Novak",
)
_DRAFTS: tuple[Mapping[str, Any], ...] = (
    {
        "name": "Answers promptly",
        "metric": "latency_ms",
        "method": "timestamp_diff",
        "severity": "HIGH",
        "notes": "Each answer comes within two seconds.",
        "pass_criteria": {"pass": "<= 2000", "warning": "<= 4000", "fail": "> 4000"},
        "llm_prompt": "",
        "regex": "",
        "script": "",
        "aggregate": "max",
    },
    {
        "name": "Remembers what it was told",
        "metric": "boolean",
        "method": "LLM_match",
        "severity": "HIGH",
        "notes": "Nothing that the customer said is asked for again.",
        "pass_criteria": {"pass": "true", "warning": "", "fail": "false"},
        "llm_prompt": "The agent never asks again for something that the customer told it already.",
        "regex": "",
        "script": "",
        "aggregate": None,
    },
    {
        "name": "Stays friendly",
        "metric": "sentiment_score",
        "method": "sentiment_analysis",
        "severity": "MEDIUM",
        "notes": "The agent is friendly to the end, whatever is asked.",
        "pass_criteria": {"pass": ">= -0.2", "warning": ">= -0.5", "fail": "< -0.5"},
        "llm_prompt": "",
        "regex": "",
        "script": "",
        "aggregate": "min",
    },
    {
        "name": "Asks for the order number at most twice",
        "metric": "count",
        "method": "regex_match",
        "severity": "LOW",
        "notes": "More often is a sign that it forgets.",
        "pass_criteria": {"pass": "<= 2", "warning": "", "fail": "> 2"},
        "llm_prompt": "",
        "regex": "(?i)order number",
        "script": "",
        "aggregate": None,
    },
)


def evaluation_drafts(ask: Ask) -> Mapping[str, Any]:
    """Drafts evaluations whose metric, method and criteria belong together.

    Args:
        ask: What was asked; as many are drafted as it says, as in "3 checks", or else all there are, and none
            whose name is in it.
    """
    prompt = "\n".join(ask.texts())
    asked = re.search(r"(?i)\b(\d+) (?:\w+ ){0,2}(?:evaluations|checks)", prompt)
    count = int(asked.group(1)) if asked else len(_DRAFTS)
    drafts: list[Mapping[str, Any]] = []
    for index in itertools.count():
        draft = _DRAFTS[index % len(_DRAFTS)]
        again = index // len(_DRAFTS)
        name = f"{draft['name']} ({again + 1})" if again else draft["name"]
        if name not in prompt:
            drafts.append({**draft, "name": name, "messages": "agent"})
        if len(drafts) >= count:
            break
    return dict.fromkeys(("evaluations", "drafts", "evaluation_drafts", "items"), drafts)


BRAINS: dict[str, Brain] = {
    "persona_turn": persona_turn,
    "judgement": judgement,
    "sentiment": sentiment,
    "persona_draft": persona_draft,
    "persona_drafts": persona_draft,
    "evaluation_draft": evaluation_drafts,
    "evaluation_drafts": evaluation_drafts,
}
"""By `response_format.json_schema.name`. A name that is not here is answered from its schema alone."""
