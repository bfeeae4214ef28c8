"""What a frame of the agent's means, as far as the settings alone can tell."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mimic_adapter_websocket.drafts import Rule
from mimic_adapter_websocket.formats import Decoded, UnreadableError
from mimic_adapter_websocket.paths import DataError
from mimic_adapter_websocket.profile import OTHERS, Profile
from mimic_adapter_websocket.replies import word
from mimic_adapter_websocket.templates import TemplateFaultError


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a frame means."""

    kind: str
    """Its kind. Empty: it has none."""
    data: Any
    """What it holds."""
    rule: Rule | None
    """What such a frame means. None: nothing, or nobody knows."""
    answers: tuple[str, ...]
    """The frames that answer it at once."""
    reason: str = ""
    """UPPER_SNAKE_CASE reason of what is wrong with it. Empty: nothing is."""
    problem: str = ""
    """What is wrong with it."""


def understand(profile: Profile, payload: str | bytes, values: Mapping[str, Any]) -> Meaning:
    """Say what a frame means.

    Args:
        profile: How the agent speaks.
        payload: The frame; bytes where it is a binary one.
        values: Values for the template of an answer.
    """
    try:
        decoded = _decoded(profile, payload)
        kind = word(profile.kind, decoded.data)
    except (UnreadableError, DataError) as error:
        return Meaning("", None, None, (), "AGENT_FRAME_UNREADABLE", f"a frame {error}")
    rules = profile.rules
    answers = (decoded.answer,) if decoded.answer else ()
    if kind not in rules and OTHERS not in rules:
        problem = f"a frame of kind {kind!r}, which no setting knows: {payload!s}"
        return Meaning(kind, decoded.data, None, answers, "AGENT_FRAME_UNKNOWN", problem)
    rule = rules[kind if kind in rules else OTHERS]
    if rule is None or rule.answer is None:
        return Meaning(kind, decoded.data, rule, answers)
    try:
        answer = rule.answer.fill({**values, "frame": decoded.data})
    except TemplateFaultError as error:
        problem = f"`answer` to {kind!r}: {error}"
        return Meaning(kind, decoded.data, rule, answers, "TEMPLATE_FAILED", problem)
    return Meaning(kind, decoded.data, rule, (*answers, answer) if answer.strip() else answers)


def _decoded(profile: Profile, payload: str | bytes) -> Decoded:
    if isinstance(payload, bytes):
        if not profile.settings.binary:
            raise UnreadableError(f"is a binary one, of {len(payload)} bytes (`binary`)")
        try:
            payload = payload.decode()
        except UnicodeDecodeError:
            raise UnreadableError("is a binary one that is not UTF-8") from None
    try:
        return profile.read(payload)
    except UnreadableError as error:
        raise UnreadableError(f"{error}: {payload}") from None
