"""Personas: who the simulated people are."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from pydantic import Field, StringConstraints

from mimic_server.domain.ids import AgentId, PersonaId, TeamId
from mimic_server.domain.specs import Line, LongText, Spec, Tag

Rate = Annotated[float, Field(ge=0, le=1)]


class TypingStyle(Spec):
    """How a persona types. The rates are drawn from the session's seed, so a session can be repeated."""

    description: LongText = ""
    """In words, for the language model: "short, lower case, no punctuation"."""
    lowercase: bool = False
    """True: never an upper case letter."""
    typo_rate: Rate = 0.0
    """Share of words with a slip of the finger."""
    burst_rate: Rate = 0.0
    """Chance that a turn is split into several messages in a row."""
    double_send_rate: Rate = 0.0
    """Chance that the persona says the same thing again in other words before any answer."""
    picture_rate: Rate = 0.0
    """Chance that a turn comes with a picture, where the channel takes pictures."""
    silence_rate: Rate = 0.0
    """Chance that the persona lets a turn pass without a word."""
    emoji: bool = False
    """True: uses emoji."""
    words_per_minute: Annotated[int, Field(ge=5, le=400)] = 40
    """Typing speed; matters only to sessions with a `pace` above 0."""


class PersonaSpec(Spec):
    """What a persona is."""

    name: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=64)]
    """Name that the agent sees too."""
    age: Annotated[int, Field(ge=1, le=120)] = 35
    occupation: Annotated[str, StringConstraints(strip_whitespace=True, max_length=200)] = ""
    location: Annotated[str, StringConstraints(strip_whitespace=True, max_length=200)] = ""
    locale: Annotated[
        str, StringConstraints(pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*$", max_length=35)
    ] = "en"
    """BCP 47 language tag that the persona writes in."""
    background: LongText = ""
    """What the persona knows and has been through: order numbers, dates, earlier contacts."""
    goals: Annotated[tuple[Line, ...], Field(min_length=1, max_length=10)]
    """What the persona wants, in order."""
    frustrations: Annotated[tuple[Line, ...], Field(max_length=10)] = ()
    typing_style: TypingStyle = TypingStyle()
    sample_phrases: Annotated[tuple[Line, ...], Field(max_length=20)] = ()
    stop_conditions: Annotated[tuple[Line, ...], Field(max_length=10)] = ()
    """Each ends the conversation when it is met, whatever became of the goals."""
    simulation_tags: Annotated[tuple[Tag, ...], Field(max_length=20)] = ()


@dataclass(frozen=True, slots=True)
class Persona:
    """A persona of an agent."""

    id: PersonaId
    team_id: TeamId
    agent_id: AgentId
    spec: PersonaSpec
    created_at: datetime
    updated_at: datetime
    etag: int = 1
    """Counts changes; a change that names an older one is refused."""
    request_id: str = ""
    """The caller's idempotency key of its creation. Empty: none given."""
