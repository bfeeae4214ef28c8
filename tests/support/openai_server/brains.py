"""What the "model" says: a brain for each schema name, and the schema itself for all others.

A brain suggests values by property name; the generator puts them where the schema has room for them. So a
brain outlives a change of its schema, and every answer is valid whatever the schema has become.
"""

import dataclasses
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
_PERSONA_LINE = re.compile(
    r"^\W*(?:\[?\d+\]?\W+)?(?:persona|customer|you)\b[^:\n]{0,40}:", re.IGNORECASE | re.MULTILINE
)


def persona_turn(ask: Ask) -> Mapping[str, Any]:
    """Plays a customer of the bundled example agent, in a way that meets each of its faults.

    Args:
        ask: What was asked.
    """
    turn = _turns_so_far(ask) + 1
    key = zlib.crc32(ask.texts()[0].encode(), ask.seed)
    if ask.turns and turn >= ask.turns:
        return {
            "messages": [_GOODBYE],
            "message": _GOODBYE,
            "decision": Either(("stop", "end")),
            "stop": True,
            "stop_reason": Either(("goals_reached", "goal_reached", "goals reached")),
            "stop_condition": None,
            "reasoning": "All goals are reached.",
        }
    lines = [
        line.format(order=10_001 + key % 89_999, house=1 + key % 90)
        for line in _SCRIPT[(turn - 1) % len(_SCRIPT)]
    ]
    return {
        "messages": lines,
        "message": " ".join(lines),
        "decision": Either(("continue", "go_on")),
        "stop": False,
        "stop_reason": Either((None, "none", "not_stopped")),
        "stop_condition": None,
        "reasoning": f"Turn {turn}: the goals are not reached yet.",
    }


def _turns_so_far(ask: Ask) -> int:
    """Counts the persona's turns: runs of assistant messages, or else lines of a transcript in a message."""
    roles = [message["role"] for message in ask.messages]
    runs = sum(role == "assistant" and roles[index - 1] != "assistant" for index, role in enumerate(roles))
    return runs or sum(len(_PERSONA_LINE.findall(text)) for text in ask.texts("user"))


_RUDE = ("stupid", "pathetic", "ridiculous", "sick of")
_ASKS_AGAIN = ("order number",)
_NUMBERED = re.compile(r"^\W*(\d+)\W")


def judgement(ask: Ask) -> Mapping[str, Any]:
    """Judges a transcript by its words: rude or not, asked twice or not, as the criteria ask.

    Args:
        ask: What was asked.
    """
    prompt = "\n".join(ask.texts())
    lowered = prompt.lower()
    lines = [line for line in prompt.splitlines() if _NUMBERED.match(line)]
    rude = [line for line in lines if any(word in line.lower() for word in _RUDE)]
    again = [line for line in lines if any(word in line.lower() for word in _ASKS_AGAIN)]
    about_memory = any(word in lowered for word in ("remember", "forget", "twice", "again", "repeat"))
    about_manners = any(word in lowered for word in ("polite", "rude", "courte", "respect", "friendly"))
    offending = (rude if about_manners else []) + (again if about_memory and len(again) > 1 else [])
    passed = not offending and not (about_manners and any(word in lowered for word in _RUDE))
    evidence = [int(found.group(1)) for line in offending or lines[:1] if (found := _NUMBERED.match(line))]
    verdict = Either(
        ("pass", "passed", "yes", "met", True) if passed else ("fail", "failed", "no", "not_met", False)
    )
    explanation = "The transcript meets the criteria." if passed else "The transcript breaks the criteria."
    return {
        "verdict": verdict,
        "passed": passed,
        "match": passed,
        "matches": passed,
        "met": passed,
        "score": Either((1.0, 1) if passed else (0.0, 0)),
        "value": Either((1.0, 1, True) if passed else (0.0, 0, False)),
        "confidence": 0.9,
        "explanation": explanation,
        "reasoning": explanation,
        "evidence": evidence,
    }


def sentiment(ask: Ask) -> Mapping[str, Any]:
    """Scores a text's mood by its words.

    Args:
        ask: What was asked.
    """
    lowered = "\n".join(ask.texts("user")).lower()
    negative = any(word in lowered for word in _RUDE)
    score = -0.8 if negative else 0.6
    return {
        "score": score,
        "sentiment_score": score,
        "sentiment": Either((score, "negative" if negative else "positive")),
        "label": "negative" if negative else "positive",
        "explanation": "The wording is hostile." if negative else "The wording is friendly.",
    }


_DRAFTS: tuple[Mapping[str, Any], ...] = (
    {
        "name": "Answers promptly",
        "description": "Each answer comes within two seconds.",
        "metric": "latency_ms",
        "method": "timestamp_diff",
        "criteria": "Time from the customer's message to the first answer.",
        "severity": "high",
        "pass_criteria": {"pass": 2000, "warning": 4000, "fail": 4000},
    },
    {
        "name": "Remembers what was said",
        "description": "The agent never asks twice for the same thing.",
        "metric": "boolean",
        "method": "LLM_match",
        "criteria": "The agent never asks again for something that the customer told it already.",
        "severity": "high",
        "pass_criteria": {"pass": True, "warning": None, "fail": False},
    },
    {
        "name": "Stays polite",
        "description": "The agent is polite to the end, whatever is asked.",
        "metric": "sentiment_score",
        "method": "sentiment_analysis",
        "criteria": "The agent stays polite throughout.",
        "severity": "medium",
        "pass_criteria": {"pass": 0.2, "warning": 0.0, "fail": 0.0},
    },
)


def evaluation_drafts(_: Ask) -> Mapping[str, Any]:
    """Suggests evaluations whose metric and method belong together.

    Returns:
        The same drafts under each name that a schema may have for them.
    """
    return dict.fromkeys(("evaluations", "drafts", "evaluation_drafts", "items"), _DRAFTS)


BRAINS: dict[str, Brain] = {
    "persona_turn": persona_turn,
    "judgement": judgement,
    "sentiment": sentiment,
    "evaluation_drafts": evaluation_drafts,
}
"""By `response_format.json_schema.name`. A name that is not here is answered from its schema alone."""
