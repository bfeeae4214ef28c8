"""Evaluations: checks of an agent, and their outcome for one session."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from pydantic import Field, StringConstraints

from mimic_server.domain.ids import AgentId, EvaluationId, ResultId, SessionId, TeamId
from mimic_server.domain.messages import Usage
from mimic_server.domain.specs import LongText, Name, Spec


class Metric(enum.StrEnum):
    """What an evaluation measures; each has a unit."""

    LATENCY_MS = "latency_ms"
    """Milliseconds."""
    BOOLEAN = "boolean"
    """1 for true, 0 for false."""
    SENTIMENT_SCORE = "sentiment_score"
    """From -1 (hostile) to 1 (warm)."""
    ACCURACY_PERCENTAGE = "accuracy_percentage"
    """From 0 to 100."""
    COUNT = "count"
    """0, 1, 2 ..."""


class Method(enum.StrEnum):
    """How the value is found."""

    TIMESTAMP_DIFF = "timestamp_diff"
    LLM_MATCH = "LLM_match"
    SENTIMENT_ANALYSIS = "sentiment_analysis"
    REGEX_MATCH = "regex_match"
    CUSTOM_SCRIPT = "custom_script"


class Severity(enum.StrEnum):
    """How bad a FAIL is."""

    LOW = "LOW"
    MEDIUM = "MEDIUM"
    HIGH = "HIGH"
    CRITICAL = "CRITICAL"


class Verdict(enum.StrEnum):
    """What an evaluation found of one session."""

    PASS = "PASS"  # noqa: S105 - a verdict, no password
    WARNING = "WARNING"
    FAIL = "FAIL"


class ResultStatus(enum.StrEnum):
    """Whether an evaluation could be judged."""

    SCORED = "SCORED"
    ERROR = "ERROR"
    """It could not be judged; it has no verdict and leaves the rates."""
    SKIPPED = "SKIPPED"
    """It does not apply to the session (no agent message, for example); it leaves the rates."""


class Aggregate(enum.StrEnum):
    """How the values of a session's turns become one value."""

    MAX = "max"
    MEAN = "mean"
    MIN = "min"
    P50 = "p50"
    P95 = "p95"


class WhoseMessages(enum.StrEnum):
    """Whose messages a method reads."""

    AGENT = "agent"
    PERSONA = "persona"
    BOTH = "both"


class PassCriteria(Spec):
    """Thresholds, tried in the order pass, warning, fail; the first that holds is the verdict.

    Each is a comparison with the value, such as "<= 2000", ">= 0.8", "== 0", "true", or two of them joined
    by "and". At least `pass` or `fail` is given; with only one of them, everything else is the other.
    With both given they and `warning` leave no gap.
    """

    pass_: Annotated[str, Field(alias="pass", max_length=100)] = ""
    warning: Annotated[str, Field(max_length=100)] = ""
    fail: Annotated[str, Field(max_length=100)] = ""


class EvaluationSpec(Spec):
    """What an evaluation is. Which fields a method needs is checked by `mimic_server.evaluation`."""

    name: Name
    metric: Metric
    method: Method
    pass_criteria: PassCriteria
    severity: Severity = Severity.MEDIUM
    notes: LongText = ""
    """For people: what it checks and why."""
    llm_prompt: LongText = ""
    """LLM_match (required), sentiment_analysis (optional: a model judges instead of VADER): what to judge."""
    regex: Annotated[str, StringConstraints(max_length=4000)] = ""
    """regex_match (required): RE2 syntax, searched in each message of `messages`. timestamp_diff (optional):
    only answers to persona messages that match it are timed."""
    script: LongText = ""
    """custom_script (required): Starlark that defines `evaluate(transcript)`."""
    messages: WhoseMessages = WhoseMessages.AGENT
    """Whose messages regex_match and sentiment_analysis read."""
    aggregate: Aggregate | None = None
    """How per-message values become one. None: max for latency, min for sentiment, the sum for counts."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """An evaluation of an agent."""

    id: EvaluationId
    team_id: TeamId
    agent_id: AgentId
    spec: EvaluationSpec
    created_at: datetime
    updated_at: datetime
    enabled: bool = True
    etag: int = 1
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What an evaluation found in one transcript, before it is anyone's result."""

    status: ResultStatus
    value: float | None = None
    """In the metric's unit. None: nothing was measured."""
    verdict: Verdict | None = None
    """None unless SCORED."""
    explanation: str = ""
    """One or two sentences for people; with ERROR and SKIPPED, why."""
    evidence: tuple[int, ...] = ()
    """Seqs of the messages that show it, the most telling first."""
    usage: Usage | None = None
    """Model tokens spent on it. None: no model was asked."""


@dataclass(frozen=True, slots=True)
class EvaluationResult:
    """Outcome of one evaluation for one session (its last attempt)."""

    id: ResultId
    team_id: TeamId
    session_id: SessionId
    evaluation_id: EvaluationId
    name: str
    """The evaluation's name, metric and severity as they were when it ran."""
    metric: Metric
    method: Method
    severity: Severity
    judgement: Judgement
    rev: int
    """Number of the session's event that stored it."""
    created_at: datetime
