"""Sessions: one persona's conversation with one agent on one channel."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from pydantic import Field

from mimic_server.domain.faults import Fault
from mimic_server.domain.ids import AgentId, ConnectionId, PersonaId, RunId, SessionId, TeamId
from mimic_server.domain.messages import NO_USAGE, Usage
from mimic_server.domain.personas import PersonaSpec
from mimic_server.domain.specs import Spec


class SessionState(enum.StrEnum):
    """Where a session is in its life."""

    CREATED = "CREATED"
    """Stored; waits for a worker."""
    RUNNING = "RUNNING"
    """The conversation is under way."""
    EVALUATING = "EVALUATING"
    """The conversation is over; evaluations run."""
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    """The conversation ended by a fault; evaluations of what was said are kept."""
    CANCELLED = "CANCELLED"

    @property
    def ended(self) -> bool:
        """True where nothing follows."""
        return self in _ENDED


_ENDED = frozenset({SessionState.COMPLETED, SessionState.FAILED, SessionState.CANCELLED})


class TerminationReason(enum.StrEnum):
    """Why a conversation ended. Never a verdict."""

    GOALS_REACHED = "GOALS_REACHED"
    STOP_CONDITION = "STOP_CONDITION"
    MAX_TURNS = "MAX_TURNS"
    AGENT_ENDED = "AGENT_ENDED"
    AGENT_SILENT = "AGENT_SILENT"
    CANCELLED = "CANCELLED"
    BUDGET_SPENT = "BUDGET_SPENT"
    FAULT = "FAULT"


class SessionOptions(Spec):
    """How a session is played."""

    max_turns: Annotated[int, Field(ge=1, le=1000)] = 20
    """Persona turns after which the conversation ends."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    """Seed of everything that is drawn. None: derived from the session's id."""
    turn_timeout_ms: Annotated[int, Field(ge=100, le=3_600_000)] = 30_000
    """How long the agent may take for a turn; then the turn is silent."""
    turn_quiet_ms: Annotated[int, Field(ge=10, le=60_000)] | None = None
    """Quiet that ends the agent's turn, where the channel does not tell. None: the adapter's own, learned
    upwards from the agent's pauses."""
    max_silent_turns: Annotated[int, Field(ge=1, le=100)] = 2
    """Silent turns in a row after which the session ends with AGENT_SILENT."""
    pace: Annotated[float, Field(ge=0, le=10)] = 0.0
    """How long the persona takes to type, as a multiple of its own speed. 0: answers at once."""
    max_tokens: Annotated[int, Field(ge=0)] = 0
    """Model tokens that the persona may spend; then the session ends with BUDGET_SPENT. 0: no limit."""
    max_attempts: Annotated[int, Field(ge=1, le=10)] = 3
    """Attempts, the first included, when one ends by a fault of the adapter, the channel or Mimic itself."""
    capture_raw: bool = False
    """True: both sides' payloads are kept."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of a session: a conversation of its own on the channel."""

    number: int
    started_at: datetime
    ended_at: datetime | None = None
    epoch: str = ""
    """The adapter process's, from Opened. Empty: never opened."""
    epoch_from: int = 0
    """Seq of the last message that was stored before the epoch began: what an earlier process numbered."""
    conversation_ref: str = ""
    resumptions: int = 0
    """How often the conversation went on after its stream broke."""
    fault: Fault | None = None
    """Why it ended, where another attempt follows or the session FAILED."""
    note: str = ""
    """For people: what is not known of it, such as whether the last message was sent."""


@dataclass(frozen=True, slots=True)
class Session:
    """One persona's conversation with one agent on one channel."""

    id: SessionId
    team_id: TeamId
    agent_id: AgentId
    connection_id: ConnectionId
    persona_id: PersonaId
    persona: PersonaSpec
    """The persona as it was when the session was created."""
    options: SessionOptions
    state: SessionState
    created_at: datetime
    updated_at: datetime
    rev: int = 1
    """Number of the session's event that last changed it. Its messages and results count with it."""
    run_id: RunId | None = None
    repeat: int = 0
    """Which repeat of the run, 0, 1, 2 ..."""
    channel: str = ""
    model: str = ""
    """The language model that played the persona, such as "scripted" or "gpt-4o-2024-08-06"."""
    attempts: tuple[Attempt, ...] = ()
    turns: int = 0
    """Turns of the last attempt."""
    message_count: int = 0
    """Messages of the last attempt."""
    termination: TerminationReason | None = None
    """Why the conversation ended. None: it has not."""
    termination_detail: str = ""
    """Which stop condition and why, or the fault in one line."""
    fault: Fault | None = None
    usage: Usage = NO_USAGE
    """Model tokens of the persona, all attempts."""
    started_at: datetime | None = None
    ended_at: datetime | None = None
    cancel_requested: bool = False
    human_control: bool = False
    """True: a person plays the persona."""
    request_id: str = ""

    @property
    def seed(self) -> int:
        """The seed in force, from 0 to 2**63 - 1."""
        return self.options.seed if self.options.seed is not None else self.id.int & (2**63 - 1)

    @property
    def attempt(self) -> Attempt | None:
        """The attempt under way, or the last. Returns None before the first."""
        return self.attempts[-1] if self.attempts else None
