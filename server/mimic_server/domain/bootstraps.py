"""Bootstraps: a language model drafts personas and evaluations for an agent."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from pydantic import Field

from mimic_server.domain.ids import AgentId, BootstrapId, EvaluationId, PersonaId, TeamId
from mimic_server.domain.messages import NO_USAGE, Usage
from mimic_server.domain.runs import JobState
from mimic_server.domain.specs import LongText, Spec


class BootstrapStep(enum.StrEnum):
    """What a bootstrap is doing."""

    GENERATING = "GENERATING"
    SAVING = "SAVING"
    DONE = "DONE"


class BootstrapOptions(Spec):
    """What to draft."""

    personas: Annotated[int, Field(ge=0, le=50)] = 1
    """How many personas."""
    evaluations: Annotated[int, Field(ge=0, le=50)] = 5
    """About how many evaluations."""
    instructions: LongText = ""
    """What to look at in particular."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """Personas and evaluations drafted for an agent and saved in one transaction."""

    id: BootstrapId
    team_id: TeamId
    agent_id: AgentId
    options: BootstrapOptions
    state: JobState
    created_at: datetime
    updated_at: datetime
    step: BootstrapStep = BootstrapStep.GENERATING
    personas_done: int = 0
    evaluations_done: int = 0
    persona_ids: tuple[PersonaId, ...] = ()
    """Set when COMPLETED."""
    evaluation_ids: tuple[EvaluationId, ...] = ()
    model: str = ""
    usage: Usage = NO_USAGE
    rev: int = 1
    error: str = ""
    """Why it FAILED, in one line."""
    cancel_requested: bool = False
    ended_at: datetime | None = None
    request_id: str = ""
