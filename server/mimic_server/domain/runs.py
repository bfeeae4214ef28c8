"""Runs: personas by repeats of sessions against one agent, and their aggregate."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from pydantic import Field

from mimic_server.domain.evaluations import Method, Metric, Severity, Verdict
from mimic_server.domain.faults import FaultSource
from mimic_server.domain.ids import AgentId, ConnectionId, EvaluationId, PersonaId, RunId, SessionId, TeamId
from mimic_server.domain.messages import Usage
from mimic_server.domain.sessions import SessionOptions, SessionState, TerminationReason
from mimic_server.domain.specs import Spec


class JobState(enum.StrEnum):
    """Where something that takes long is in its life: runs and bootstraps."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def ended(self) -> bool:
        """True where nothing follows."""
        return self not in {JobState.PENDING, JobState.RUNNING}


class RunOptions(Spec):
    """How a run is played."""

    repeats: Annotated[int, Field(ge=1, le=1000)] = 1
    """Sessions of each persona."""
    concurrency: Annotated[int, Field(ge=1, le=10_000)] = 8
    """Sessions at once."""
    session: SessionOptions = SessionOptions()
    """How each session is played. With a seed, session n of the run is played with seed + n."""


class RunOutcome(enum.StrEnum):
    """What a run says of the agent."""

    PASSED = "PASSED"
    """Every session that counts was judged, and no evaluation failed."""
    FAILED = "FAILED"
    """At least one evaluation failed, or a session ended by a fault of the agent's or by its silence."""
    INCONCLUSIVE = "INCONCLUSIVE"
    """Nothing failed, but sessions or evaluations are missing for reasons that are not the agent's."""


@dataclass(frozen=True, slots=True)
class Run:
    """Personas by repeats of sessions against one agent."""

    id: RunId
    team_id: TeamId
    agent_id: AgentId
    connection_id: ConnectionId
    persona_ids: tuple[PersonaId, ...]
    evaluation_ids: tuple[EvaluationId, ...]
    """The evaluations that were asked for. Empty: all enabled ones of the agent."""
    options: RunOptions
    state: JobState
    created_at: datetime
    updated_at: datetime
    name: str = ""
    rev: int = 1
    sessions_total: int = 0
    sessions_ended: int = 0
    outcome: RunOutcome | None = None
    """None until the run has ended."""
    started_at: datetime | None = None
    ended_at: datetime | None = None
    cancel_requested: bool = False
    error: str = ""
    """Why the run FAILED, in one line."""
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class Evidence:
    """A quoted message."""

    session_id: SessionId
    seq: int
    quote: str
    """What it says, cut at 500 characters."""
    explanation: str
    """What the evaluation says of the session."""
    verdict: Verdict | None
    """None: the evaluation could not be judged; `explanation` says why, and nothing is quoted."""
    """What it found there."""


@dataclass(frozen=True, slots=True)
class EvaluationSummary:
    """One evaluation over all sessions of a run."""

    evaluation_id: EvaluationId
    name: str
    metric: Metric
    method: Method
    severity: Severity
    passed: int
    warned: int
    failed: int
    errors: int
    skipped: int
    value_mean: float | None
    """In the metric's unit, over the scored results. None: none scored."""
    value_worst: float | None
    """The value farthest from a PASS. None: none scored."""
    evidence: tuple[Evidence, ...] = ()
    """The most telling first: failures, then warnings, then one that passed. At most 5."""


@dataclass(frozen=True, slots=True)
class RunReport:
    """A run's aggregate."""

    run: Run
    evaluations: tuple[EvaluationSummary, ...]
    """By severity and failures, the worst first."""
    sessions_by_state: dict[SessionState, int]
    terminations: dict[TerminationReason, int]
    faults: dict[FaultSource, int]
    """Sessions that ended by a fault, by whose it was."""
    latency_p50_ms: float | None
    """Over the agent's first answers of all turns, first byte. None: none was timed."""
    latency_p95_ms: float | None
    messages: int
    """Of both sides, last attempts."""
    turns: int
    """Last attempts."""
    usage: Usage
    """Model tokens of personas and evaluations."""
    model: str
    """The language model that played the personas, such as "scripted"; several, joined by commas."""
