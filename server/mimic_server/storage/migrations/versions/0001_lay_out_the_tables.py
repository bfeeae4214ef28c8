"""Lay out the tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True).with_variant(sa.String(), "sqlite")


def upgrade() -> None:
    """Brings the schema from the revision before to this one."""
    op.create_table(
        "teams",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("updated_at", _MOMENT, nullable=False),
        sa.Column("etag", sa.Integer(), nullable=False),
        sa.Column("request_id", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_teams")),
        sa.UniqueConstraint("request_id", name=op.f("uq_teams_request_id")),
    )
    op.create_table(
        "agents",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("team_id", sa.Uuid(), nullable=False),
        sa.Column("spec", sa.JSON(), nullable=False),
        sa.Column("connections", sa.JSON(), nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("updated_at", _MOMENT, nullable=False),
        sa.Column("etag", sa.Integer(), nullable=False),
        sa.Column("request_id", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(
            ["team_id"], ["teams.id"], name=op.f("fk_agents_team_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_agents")),
        sa.UniqueConstraint("id", "team_id", name=op.f("uq_agents_id_team_id")),
        sa.UniqueConstraint("team_id", "request_id", name=op.f("uq_agents_team_id_request_id")),
    )
    op.create_index("ix_agents_listed", "agents", ["team_id", "created_at", "id"], unique=False)
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("team_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("role", sa.Integer(), nullable=False),
        sa.Column("prefix", sa.String(), nullable=False),
        sa.Column("key_sha256", sa.LargeBinary(length=32), nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("expires_at", _MOMENT, nullable=True),
        sa.Column("revoked_at", _MOMENT, nullable=True),
        sa.Column("last_used_at", _MOMENT, nullable=True),
        sa.Column("request_id", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(
            ["team_id"], ["teams.id"], name=op.f("fk_api_keys_team_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("key_sha256", name=op.f("uq_api_keys_key_sha256")),
        sa.UniqueConstraint("team_id", "request_id", name=op.f("uq_api_keys_team_id_request_id")),
    )
    op.create_index("ix_api_keys_listed", "api_keys", ["team_id", "created_at", "id"], unique=False)
    op.create_table(
        "audit_log",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("team_id", sa.Uuid(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("target", sa.String(), nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("request_id", sa.String(), nullable=False),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["team_id"], ["teams.id"], name=op.f("fk_audit_log_team_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_log")),
    )
    op.create_index("ix_audit_log_listed", "audit_log", ["team_id", "created_at", "id"], unique=False)
    op.create_table(
        "agent_evaluations",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("team_id", sa.Uuid(), nullable=False),
        sa.Column("agent_id", sa.Uuid(), nullable=False),
        sa.Column("spec", sa.JSON(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("updated_at", _MOMENT, nullable=False),
        sa.Column("etag", sa.Integer(), nullable=False),
        sa.Column("request_id", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(
            ["agent_id", "team_id"],
            ["agents.id", "agents.team_id"],
            name=op.f("fk_agent_evaluations_agent_id_team_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["team_id"], ["teams.id"], name=op.f("fk_agent_evaluations_team_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_agent_evaluations")),
        sa.UniqueConstraint("team_id", "request_id", name=op.f("uq_agent_evaluations_team_id_request_id")),
    )
    op.create_index(
        "ix_agent_evaluations_agent_id_listed",
        "agent_evaluations",
        ["agent_id", "team_id", "created_at", "id"],
        unique=False,
    )
    op.create_index(
        "ix_agent_evaluations_listed", "agent_evaluations", ["team_id", "created_at", "id"], unique=False
    )
    op.create_table(
        "agent_personas",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("team_id", sa.Uuid(), nullable=False),
        sa.Column("agent_id", sa.Uuid(), nullable=False),
        sa.Column("spec", sa.JSON(), nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("updated_at", _MOMENT, nullable=False),
        sa.Column("etag", sa.Integer(), nullable=False),
        sa.Column("request_id", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(
            ["agent_id", "team_id"],
            ["agents.id", "agents.team_id"],
            name=op.f("fk_agent_personas_agent_id_team_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["team_id"], ["teams.id"], name=op.f("fk_agent_personas_team_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_agent_personas")),
        sa.UniqueConstraint("team_id", "request_id", name=op.f("uq_agent_personas_team_id_request_id")),
    )
    op.create_index(
        "ix_agent_personas_agent_id_listed",
        "agent_personas",
        ["agent_id", "team_id", "created_at", "id"],
        unique=False,
    )
    op.create_index(
        "ix_agent_personas_listed", "agent_personas", ["team_id", "created_at", "id"], unique=False
    )
    op.create_table(
        "bootstraps",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("team_id", sa.Uuid(), nullable=False),
        sa.Column("agent_id", sa.Uuid(), nullable=False),
        sa.Column("options", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("updated_at", _MOMENT, nullable=False),
        sa.Column("step", sa.String(), nullable=False),
        sa.Column("personas_done", sa.Integer(), nullable=False),
        sa.Column("evaluations_done", sa.Integer(), nullable=False),
        sa.Column("persona_ids", sa.JSON(), nullable=False),
        sa.Column("evaluation_ids", sa.JSON(), nullable=False),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("usage", sa.JSON(), nullable=False),
        sa.Column("rev", sa.Integer(), nullable=False),
        sa.Column("error", sa.String(), nullable=False),
        sa.Column("cancel_requested", sa.Boolean(), nullable=False),
        sa.Column("ended_at", _MOMENT, nullable=True),
        sa.Column("lease_owner", sa.String(), nullable=True),
        sa.Column("lease_until", _MOMENT, nullable=True),
        sa.Column("request_id", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(
            ["agent_id", "team_id"],
            ["agents.id", "agents.team_id"],
            name=op.f("fk_bootstraps_agent_id_team_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["team_id"], ["teams.id"], name=op.f("fk_bootstraps_team_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bootstraps")),
        sa.UniqueConstraint("team_id", "request_id", name=op.f("uq_bootstraps_team_id_request_id")),
    )
    op.create_index(
        "ix_bootstraps_agent_id_listed",
        "bootstraps",
        ["agent_id", "team_id", "created_at", "id"],
        unique=False,
    )
    op.create_index(
        "ix_bootstraps_held",
        "bootstraps",
        ["lease_owner"],
        unique=False,
        sqlite_where=sa.text("lease_owner IS NOT NULL"),
        postgresql_where=sa.text("lease_owner IS NOT NULL"),
    )
    op.create_index("ix_bootstraps_listed", "bootstraps", ["team_id", "created_at", "id"], unique=False)
    op.create_index(
        "ix_bootstraps_unfinished",
        "bootstraps",
        ["created_at"],
        unique=False,
        sqlite_where=sa.text("state IN ('PENDING', 'RUNNING')"),
        postgresql_where=sa.text("state IN ('PENDING', 'RUNNING')"),
    )
    op.create_table(
        "runs",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("team_id", sa.Uuid(), nullable=False),
        sa.Column("agent_id", sa.Uuid(), nullable=False),
        sa.Column("connection_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("persona_ids", sa.JSON(), nullable=False),
        sa.Column("evaluation_ids", sa.JSON(), nullable=False),
        sa.Column("options", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("updated_at", _MOMENT, nullable=False),
        sa.Column("rev", sa.Integer(), nullable=False),
        sa.Column("sessions_total", sa.Integer(), nullable=False),
        sa.Column("sessions_ended", sa.Integer(), nullable=False),
        sa.Column("outcome", sa.String(), nullable=True),
        sa.Column("started_at", _MOMENT, nullable=True),
        sa.Column("ended_at", _MOMENT, nullable=True),
        sa.Column("cancel_requested", sa.Boolean(), nullable=False),
        sa.Column("error", sa.String(), nullable=False),
        sa.Column("lease_owner", sa.String(), nullable=True),
        sa.Column("lease_until", _MOMENT, nullable=True),
        sa.Column("request_id", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(
            ["agent_id", "team_id"],
            ["agents.id", "agents.team_id"],
            name=op.f("fk_runs_agent_id_team_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(["team_id"], ["teams.id"], name=op.f("fk_runs_team_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_runs")),
        sa.UniqueConstraint("id", "team_id", name=op.f("uq_runs_id_team_id")),
        sa.UniqueConstraint("team_id", "request_id", name=op.f("uq_runs_team_id_request_id")),
    )
    op.create_index(
        "ix_runs_agent_id_listed", "runs", ["agent_id", "team_id", "created_at", "id"], unique=False
    )
    op.create_index(
        "ix_runs_held",
        "runs",
        ["lease_owner"],
        unique=False,
        sqlite_where=sa.text("lease_owner IS NOT NULL"),
        postgresql_where=sa.text("lease_owner IS NOT NULL"),
    )
    op.create_index("ix_runs_listed", "runs", ["team_id", "created_at", "id"], unique=False)
    op.create_index(
        "ix_runs_unfinished",
        "runs",
        ["created_at"],
        unique=False,
        sqlite_where=sa.text("state IN ('PENDING', 'RUNNING')"),
        postgresql_where=sa.text("state IN ('PENDING', 'RUNNING')"),
    )
    op.create_table(
        "sessions",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("team_id", sa.Uuid(), nullable=False),
        sa.Column("agent_id", sa.Uuid(), nullable=False),
        sa.Column("connection_id", sa.Uuid(), nullable=False),
        sa.Column("persona_id", sa.Uuid(), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=True),
        sa.Column("repeat", sa.Integer(), nullable=False),
        sa.Column("persona", sa.JSON(), nullable=False),
        sa.Column("options", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("updated_at", _MOMENT, nullable=False),
        sa.Column("rev", sa.Integer(), nullable=False),
        sa.Column("channel", sa.String(), nullable=False),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("attempts", sa.JSON(), nullable=False),
        sa.Column("attempt_number", sa.Integer(), nullable=False),
        sa.Column("turns", sa.Integer(), nullable=False),
        sa.Column("message_count", sa.Integer(), nullable=False),
        sa.Column("termination", sa.String(), nullable=True),
        sa.Column("termination_detail", sa.String(), nullable=False),
        sa.Column("fault", sa.JSON(), nullable=True),
        sa.Column("usage", sa.JSON(), nullable=False),
        sa.Column("started_at", _MOMENT, nullable=True),
        sa.Column("ended_at", _MOMENT, nullable=True),
        sa.Column("cancel_requested", sa.Boolean(), nullable=False),
        sa.Column("human_control", sa.Boolean(), nullable=False),
        sa.Column("lease_owner", sa.String(), nullable=True),
        sa.Column("lease_until", _MOMENT, nullable=True),
        sa.Column("request_id", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(
            ["agent_id", "team_id"],
            ["agents.id", "agents.team_id"],
            name=op.f("fk_sessions_agent_id_team_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["run_id", "team_id"],
            ["runs.id", "runs.team_id"],
            name=op.f("fk_sessions_run_id_team_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["team_id"], ["teams.id"], name=op.f("fk_sessions_team_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sessions")),
        sa.UniqueConstraint("id", "team_id", name=op.f("uq_sessions_id_team_id")),
        sa.UniqueConstraint("team_id", "request_id", name=op.f("uq_sessions_team_id_request_id")),
    )
    op.create_index(
        "ix_sessions_agent_id_listed", "sessions", ["agent_id", "team_id", "created_at", "id"], unique=False
    )
    op.create_index(
        "ix_sessions_held",
        "sessions",
        ["lease_owner"],
        unique=False,
        sqlite_where=sa.text("lease_owner IS NOT NULL"),
        postgresql_where=sa.text("lease_owner IS NOT NULL"),
    )
    op.create_index("ix_sessions_listed", "sessions", ["team_id", "created_at", "id"], unique=False)
    op.create_index(
        "ix_sessions_persona_id_listed",
        "sessions",
        ["persona_id", "team_id", "created_at", "id"],
        unique=False,
    )
    op.create_index(
        "ix_sessions_run_id_listed", "sessions", ["run_id", "team_id", "created_at", "id"], unique=False
    )
    op.create_index(
        "ix_sessions_unfinished",
        "sessions",
        ["run_id", "created_at"],
        unique=False,
        sqlite_where=sa.text("run_id IS NULL AND state IN ('CREATED', 'RUNNING', 'EVALUATING')"),
        postgresql_where=sa.text("run_id IS NULL AND state IN ('CREATED', 'RUNNING', 'EVALUATING')"),
    )
    op.create_table(
        "evaluation_results",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("team_id", sa.Uuid(), nullable=False),
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("evaluation_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("metric", sa.String(), nullable=False),
        sa.Column("method", sa.String(), nullable=False),
        sa.Column("severity", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("value", sa.Float(), nullable=True),
        sa.Column("verdict", sa.String(), nullable=True),
        sa.Column("explanation", sa.String(), nullable=False),
        sa.Column("evidence", sa.JSON(), nullable=False),
        sa.Column("usage", sa.JSON(), nullable=True),
        sa.Column("rev", sa.Integer(), nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["session_id", "team_id"],
            ["sessions.id", "sessions.team_id"],
            name=op.f("fk_evaluation_results_session_id_team_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_evaluation_results")),
        sa.UniqueConstraint(
            "session_id", "evaluation_id", name=op.f("uq_evaluation_results_session_id_evaluation_id")
        ),
    )
    op.create_table(
        "messages",
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("team_id", sa.Uuid(), nullable=False),
        sa.Column("rev", sa.Integer(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("turn", sa.Integer(), nullable=False),
        sa.Column("sender", sa.String(), nullable=False),
        sa.Column("parts", sa.JSON(), nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("in_reply_to", sa.String(), nullable=False),
        sa.Column("replaces", sa.String(), nullable=False),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.Column("adapter_seq", sa.BigInteger(), nullable=False),
        sa.Column("receipt", sa.String(), nullable=True),
        sa.Column("sent_wall_unix_nanos", sa.BigInteger(), nullable=True),
        sa.Column("sent_monotonic_nanos", sa.BigInteger(), nullable=True),
        sa.Column("sent_clock_id", sa.String(), nullable=True),
        sa.Column("delivered_wall_unix_nanos", sa.BigInteger(), nullable=True),
        sa.Column("delivered_monotonic_nanos", sa.BigInteger(), nullable=True),
        sa.Column("delivered_clock_id", sa.String(), nullable=True),
        sa.Column("read_wall_unix_nanos", sa.BigInteger(), nullable=True),
        sa.Column("read_monotonic_nanos", sa.BigInteger(), nullable=True),
        sa.Column("read_clock_id", sa.String(), nullable=True),
        sa.Column("first_byte_wall_unix_nanos", sa.BigInteger(), nullable=True),
        sa.Column("first_byte_monotonic_nanos", sa.BigInteger(), nullable=True),
        sa.Column("first_byte_clock_id", sa.String(), nullable=True),
        sa.Column("last_byte_wall_unix_nanos", sa.BigInteger(), nullable=True),
        sa.Column("last_byte_monotonic_nanos", sa.BigInteger(), nullable=True),
        sa.Column("last_byte_clock_id", sa.String(), nullable=True),
        sa.Column("fault", sa.JSON(), nullable=True),
        sa.Column("usage", sa.JSON(), nullable=True),
        sa.Column("stop", sa.JSON(), nullable=True),
        sa.ForeignKeyConstraint(
            ["session_id", "team_id"],
            ["sessions.id", "sessions.team_id"],
            name=op.f("fk_messages_session_id_team_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("session_id", "seq", name=op.f("pk_messages")),
    )
    op.create_table(
        "raw_payloads",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("team_id", sa.Uuid(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("adapter_seq", sa.BigInteger(), nullable=False),
        sa.Column("to_agent", sa.Boolean(), nullable=False),
        sa.Column("payload", sa.String(), nullable=False),
        sa.Column("time_wall_unix_nanos", sa.BigInteger(), nullable=False),
        sa.Column("time_monotonic_nanos", sa.BigInteger(), nullable=False),
        sa.Column("time_clock_id", sa.String(), nullable=False),
        sa.Column("label", sa.String(), nullable=False),
        sa.Column("fault", sa.JSON(), nullable=True),
        sa.ForeignKeyConstraint(
            ["session_id", "team_id"],
            ["sessions.id", "sessions.team_id"],
            name=op.f("fk_raw_payloads_session_id_team_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_raw_payloads")),
    )
    op.create_index("ix_raw_payloads_session_id", "raw_payloads", ["session_id", "id"], unique=False)
