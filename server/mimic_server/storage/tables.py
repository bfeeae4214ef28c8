"""The tables, for SQLite and PostgreSQL alike.

A column is named as the field of the domain that it holds. Rows of a team refer to rows of the same team
alone: foreign keys carry the team.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from pydantic import TypeAdapter
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    TypeDecorator,
    UniqueConstraint,
    text,
)

from mimic_server.domain.agents import AgentSpec
from mimic_server.domain.bootstraps import BootstrapOptions, BootstrapStep
from mimic_server.domain.evaluations import EvaluationSpec, Method, Metric, ResultStatus, Severity, Verdict
from mimic_server.domain.faults import Fault
from mimic_server.domain.messages import Parts, ReceiptStatus, Sender, Stop, Usage
from mimic_server.domain.personas import PersonaSpec
from mimic_server.domain.runs import JobState, RunOptions, RunOutcome
from mimic_server.domain.sessions import Attempt, SessionOptions, SessionState, TerminationReason
from mimic_server.domain.teams import Role
from mimic_server.storage.connections import Connections
from mimic_server.storage.types import Enumeration, Id, Json, RequestId, UtcDateTime

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)

JOB_UNFINISHED = "state IN ('PENDING', 'RUNNING')"
"""Runs and bootstraps that someone has to work on."""

SESSION_UNFINISHED = "run_id IS NULL AND state IN ('CREATED', 'RUNNING', 'EVALUATING')"
"""Sessions that someone has to work on; those of a run are the run's affair."""

_Ids = TypeAdapter(tuple[UUID, ...])
_Seqs = TypeAdapter(tuple[int, ...])
_Attempts = TypeAdapter(tuple[Attempt, ...])
_Fault = TypeAdapter(Fault)
_Usage = TypeAdapter(Usage)
_Stop = TypeAdapter(Stop)


def _needed(name: str, type_: Any) -> Column[Any]:
    return Column(name, type_, nullable=False)


def _optional(name: str, type_: Any) -> Column[Any]:
    return Column(name, type_, nullable=True)


def _id() -> Column[Any]:
    return Column("id", Id(), primary_key=True)


def _team() -> Column[Any]:
    return Column("team_id", Id(), ForeignKey("teams.id", ondelete="CASCADE"), nullable=False)


def _times() -> tuple[Column[Any], Column[Any]]:
    return _needed("created_at", UtcDateTime()), _needed("updated_at", UtcDateTime())


def _request_id() -> tuple[Column[Any], UniqueConstraint]:
    return _optional("request_id", RequestId()), UniqueConstraint("team_id", "request_id")


def _of(parent: str) -> ForeignKeyConstraint:
    """Removed with its parent, which is of the same team."""
    key = f"{parent.removesuffix('s')}_id"
    return ForeignKeyConstraint(
        [key, "team_id"], [f"{parent}.id", f"{parent}.team_id"], ondelete="CASCADE", name=None
    )


def _listed(table: str, *narrowed_to: str) -> list[Index]:
    """One index for all of a team's rows in the order of listings, and one for each narrower listing."""
    return [
        Index(f"ix_{table}_listed", "team_id", "created_at", "id"),
        *(
            Index(f"ix_{table}_{column}_listed", column, "team_id", "created_at", "id")
            for column in narrowed_to
        ),
    ]


def _lease() -> tuple[Column[Any], Column[Any]]:
    return _optional("lease_owner", String()), _optional("lease_until", UtcDateTime())


def _leased(table: str, unfinished: str, *first: str) -> tuple[Index, Index]:
    """Indexes that stay small, because few rows are being worked on.

    SQLite takes another index whose first column is compared in `unfinished`, unless this one has it `first`.
    """
    held = text("lease_owner IS NOT NULL")
    open_ = text(unfinished)
    return (
        Index(f"ix_{table}_held", "lease_owner", sqlite_where=held, postgresql_where=held),
        Index(f"ix_{table}_unfinished", *first, "created_at", sqlite_where=open_, postgresql_where=open_),
    )


def _wire_time(name: str) -> tuple[Column[Any], Column[Any], Column[Any]]:
    return (
        _optional(f"{name}_wall_unix_nanos", BigInteger()),
        _optional(f"{name}_monotonic_nanos", BigInteger()),
        _optional(f"{name}_clock_id", String()),
    )


teams = Table(
    "teams",
    metadata,
    _id(),
    _needed("name", String()),
    *_times(),
    _needed("etag", Integer()),
    Column("request_id", RequestId(), nullable=True, unique=True),
)


class _Role(TypeDecorator[Role]):
    impl = Integer
    cache_ok = True

    def process_bind_param(self, value: Role | None, dialect: Any) -> int | None:
        return None if value is None else int(value)

    def process_result_value(self, value: int | None, dialect: Any) -> Role | None:
        return None if value is None else Role(value)


api_keys = Table(
    "api_keys",
    metadata,
    _id(),
    _team(),
    _needed("name", String()),
    _needed("role", _Role()),
    _needed("prefix", String()),
    Column("key_sha256", LargeBinary(32), nullable=False, unique=True),
    _needed("created_at", UtcDateTime()),
    _optional("expires_at", UtcDateTime()),
    _optional("revoked_at", UtcDateTime()),
    _optional("last_used_at", UtcDateTime()),
    *_request_id(),
    *_listed("api_keys"),
)

agents = Table(
    "agents",
    metadata,
    _id(),
    _team(),
    _needed("spec", Json(TypeAdapter(AgentSpec))),
    _needed("connections", Connections()),
    *_times(),
    _needed("etag", Integer()),
    *_request_id(),
    UniqueConstraint("id", "team_id"),
    *_listed("agents"),
)

agent_personas = Table(
    "agent_personas",
    metadata,
    _id(),
    _team(),
    _needed("agent_id", Id()),
    _needed("spec", Json(TypeAdapter(PersonaSpec))),
    *_times(),
    _needed("etag", Integer()),
    *_request_id(),
    _of("agents"),
    *_listed("agent_personas", "agent_id"),
)

agent_evaluations = Table(
    "agent_evaluations",
    metadata,
    _id(),
    _team(),
    _needed("agent_id", Id()),
    _needed("spec", Json(TypeAdapter(EvaluationSpec))),
    _needed("enabled", Boolean()),
    *_times(),
    _needed("etag", Integer()),
    *_request_id(),
    _of("agents"),
    *_listed("agent_evaluations", "agent_id"),
)

runs = Table(
    "runs",
    metadata,
    _id(),
    _team(),
    _needed("agent_id", Id()),
    _needed("connection_id", Id()),
    _needed("name", String()),
    _needed("persona_ids", Json(_Ids)),
    _needed("evaluation_ids", Json(_Ids)),
    _needed("options", Json(TypeAdapter(RunOptions))),
    _needed("state", Enumeration(JobState)),
    *_times(),
    _needed("rev", Integer()),
    _needed("sessions_total", Integer()),
    _needed("sessions_ended", Integer()),
    _optional("outcome", Enumeration(RunOutcome)),
    _optional("started_at", UtcDateTime()),
    _optional("ended_at", UtcDateTime()),
    _needed("cancel_requested", Boolean()),
    _needed("error", String()),
    *_lease(),
    *_request_id(),
    UniqueConstraint("id", "team_id"),
    _of("agents"),
    *_listed("runs", "agent_id"),
    *_leased("runs", JOB_UNFINISHED),
)

bootstraps = Table(
    "bootstraps",
    metadata,
    _id(),
    _team(),
    _needed("agent_id", Id()),
    _needed("options", Json(TypeAdapter(BootstrapOptions))),
    _needed("state", Enumeration(JobState)),
    *_times(),
    _needed("step", Enumeration(BootstrapStep)),
    _needed("personas_done", Integer()),
    _needed("evaluations_done", Integer()),
    _needed("persona_ids", Json(_Ids)),
    _needed("evaluation_ids", Json(_Ids)),
    _needed("model", String()),
    _needed("usage", Json(_Usage)),
    _needed("rev", Integer()),
    _needed("error", String()),
    _needed("cancel_requested", Boolean()),
    _optional("ended_at", UtcDateTime()),
    *_lease(),
    *_request_id(),
    _of("agents"),
    *_listed("bootstraps", "agent_id"),
    *_leased("bootstraps", JOB_UNFINISHED),
)

# The persona may be gone: a session keeps who it was.
sessions = Table(
    "sessions",
    metadata,
    _id(),
    _team(),
    _needed("agent_id", Id()),
    _needed("connection_id", Id()),
    _needed("persona_id", Id()),
    _optional("run_id", Id()),
    _needed("repeat", Integer()),
    _needed("persona", Json(TypeAdapter(PersonaSpec))),
    _needed("options", Json(TypeAdapter(SessionOptions))),
    _needed("state", Enumeration(SessionState)),
    *_times(),
    _needed("rev", Integer()),
    _needed("channel", String()),
    _needed("model", String()),
    _needed("attempts", Json(_Attempts)),
    _needed("attempt_number", Integer()),
    _needed("turns", Integer()),
    _needed("message_count", Integer()),
    _optional("termination", Enumeration(TerminationReason)),
    _needed("termination_detail", String()),
    _optional("fault", Json(_Fault)),
    _needed("usage", Json(_Usage)),
    _optional("started_at", UtcDateTime()),
    _optional("ended_at", UtcDateTime()),
    _needed("cancel_requested", Boolean()),
    _needed("human_control", Boolean()),
    *_lease(),
    *_request_id(),
    UniqueConstraint("id", "team_id"),
    _of("agents"),
    _of("runs"),
    *_listed("sessions", "agent_id", "persona_id", "run_id"),
    *_leased("sessions", SESSION_UNFINISHED, "run_id"),
)

messages = Table(
    "messages",
    metadata,
    _needed("session_id", Id()),
    _needed("seq", Integer()),
    _needed("team_id", Id()),
    _needed("rev", Integer()),
    _needed("id", String()),
    _needed("attempt", Integer()),
    _needed("turn", Integer()),
    _needed("sender", Enumeration(Sender)),
    _needed("parts", Json(Parts)),
    _needed("created_at", UtcDateTime()),
    _needed("in_reply_to", String()),
    _needed("replaces", String()),
    _needed("deleted", Boolean()),
    _needed("adapter_seq", BigInteger()),
    _optional("receipt", Enumeration(ReceiptStatus)),
    *_wire_time("sent"),
    *_wire_time("delivered"),
    *_wire_time("read"),
    *_wire_time("first_byte"),
    *_wire_time("last_byte"),
    _optional("fault", Json(_Fault)),
    _optional("usage", Json(_Usage)),
    _optional("stop", Json(_Stop)),
    PrimaryKeyConstraint("session_id", "seq"),
    _of("sessions"),
)

raw_payloads = Table(
    "raw_payloads",
    metadata,
    Column("id", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True),
    _needed("session_id", Id()),
    _needed("team_id", Id()),
    _needed("attempt", Integer()),
    _needed("adapter_seq", BigInteger()),
    _needed("to_agent", Boolean()),
    _needed("payload", String()),
    _needed("time_wall_unix_nanos", BigInteger()),
    _needed("time_monotonic_nanos", BigInteger()),
    _needed("time_clock_id", String()),
    _needed("label", String()),
    _optional("fault", Json(_Fault)),
    _of("sessions"),
    Index("ix_raw_payloads_session_id", "session_id", "id"),
)

# The evaluation may be gone: a result keeps what it was.
evaluation_results = Table(
    "evaluation_results",
    metadata,
    _id(),
    _needed("team_id", Id()),
    _needed("session_id", Id()),
    _needed("evaluation_id", Id()),
    _needed("name", String()),
    _needed("metric", Enumeration(Metric)),
    _needed("method", Enumeration(Method)),
    _needed("severity", Enumeration(Severity)),
    _needed("status", Enumeration(ResultStatus)),
    _optional("value", Float()),
    _optional("verdict", Enumeration(Verdict)),
    _needed("explanation", String()),
    _needed("evidence", Json(_Seqs)),
    _optional("usage", Json(_Usage)),
    _needed("rev", Integer()),
    _needed("created_at", UtcDateTime()),
    UniqueConstraint("session_id", "evaluation_id"),
    _of("sessions"),
)

audit_log = Table(
    "audit_log",
    metadata,
    _id(),
    _team(),
    _needed("subject", String()),
    _needed("action", String()),
    _needed("target", String()),
    _needed("created_at", UtcDateTime()),
    _needed("request_id", String()),
    _needed("outcome", String()),
    *_listed("audit_log"),
)
