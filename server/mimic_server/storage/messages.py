"""Reading what a team's sessions have journalled."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import func, select

from mimic_server.domain.evaluations import EvaluationResult
from mimic_server.domain.messages import Message, RawPayload, Sender
from mimic_server.storage.kinds import MESSAGES, RAW_PAYLOADS, RESULTS
from mimic_server.storage.tables import evaluation_results, messages, raw_payloads, sessions
from mimic_server.storage.transactions import Transaction

_IDS_A_QUERY = 1000


class SqlMessageReader:
    """The `MessageReader` port."""

    def __init__(self, transaction: Transaction, team_id: UUID) -> None:
        self._transaction = transaction
        self._team_id = team_id

    async def list(self, session_id: UUID, *, after_seq: int = 0, limit: int = 1000) -> Sequence[Message]:
        rows = await self._transaction.read(
            select(*MESSAGES.columns)
            .where(
                messages.c.session_id == session_id,
                messages.c.team_id == self._team_id,
                messages.c.seq > after_seq,
            )
            .order_by(messages.c.seq)
            .limit(limit)
        )
        return [MESSAGES.entity(row) for row in rows]

    async def changed(self, session_id: UUID, *, after_rev: int, limit: int = 1000) -> Sequence[Message]:
        # No index has rev, which each receipt would have to move: a session has few messages to look through.
        rows = await self._transaction.read(
            select(*MESSAGES.columns)
            .where(
                messages.c.session_id == session_id,
                messages.c.team_id == self._team_id,
                messages.c.rev > after_rev,
            )
            .order_by(messages.c.rev, messages.c.seq)
            .limit(limit)
        )
        return [MESSAGES.entity(row) for row in rows]

    async def raw(self, session_id: UUID, *, after: int = 0, limit: int = 1000) -> Sequence[RawPayload]:
        rows = await self._transaction.read(
            select(*RAW_PAYLOADS.columns)
            .where(raw_payloads.c.session_id == session_id, raw_payloads.c.team_id == self._team_id)
            .order_by(raw_payloads.c.id)
            .offset(after)
            .limit(limit)
        )
        return [RAW_PAYLOADS.entity(row) for row in rows]


class SqlResultReader:
    """The `ResultReader` port."""

    def __init__(self, transaction: Transaction, team_id: UUID) -> None:
        self._transaction = transaction
        self._team_id = team_id

    async def list(self, session_ids: Sequence[UUID]) -> Sequence[EvaluationResult]:
        wanted = sorted(set(session_ids))
        found: list[EvaluationResult] = []
        for start in range(0, len(wanted), _IDS_A_QUERY):
            rows = await self._transaction.read(
                select(*RESULTS.columns)
                .where(
                    evaluation_results.c.session_id.in_(wanted[start : start + _IDS_A_QUERY]),
                    evaluation_results.c.team_id == self._team_id,
                )
                .order_by(evaluation_results.c.session_id, evaluation_results.c.rev, evaluation_results.c.id)
            )
            found += map(RESULTS.entity, rows)
        return found


async def first_answer_latencies(transaction: Transaction, team_id: UUID, run_id: UUID) -> Sequence[float]:
    """Milliseconds from the persona's last SENT of a turn to the agent's first byte after it.

    Of each turn of the last attempt of each session of a run; a turn whose two clocks differ has none.
    """
    said = messages.alias("said")
    answer = messages.alias("answer")
    sent = (
        select(
            said.c.session_id,
            said.c.attempt,
            said.c.turn,
            said.c.sent_clock_id,
            func.max(said.c.sent_monotonic_nanos).label("sent_nanos"),
        )
        .join(sessions, sessions.c.id == said.c.session_id)
        .where(
            sessions.c.run_id == run_id,
            sessions.c.team_id == team_id,
            said.c.attempt == sessions.c.attempt_number,
            said.c.sender == Sender.PERSONA,
            said.c.sent_monotonic_nanos.is_not(None),
        )
        .group_by(said.c.session_id, said.c.attempt, said.c.turn, said.c.sent_clock_id)
        .subquery("sent")
    )
    latency = func.min(answer.c.first_byte_monotonic_nanos) - func.max(sent.c.sent_nanos)
    rows = await transaction.read(
        select(latency)
        .join_from(
            sent,
            answer,
            (answer.c.session_id == sent.c.session_id)
            & (answer.c.attempt == sent.c.attempt)
            & (answer.c.turn == sent.c.turn)
            & (answer.c.sender == Sender.AGENT)
            & (answer.c.first_byte_clock_id == sent.c.sent_clock_id)
            & (answer.c.first_byte_monotonic_nanos >= sent.c.sent_nanos),
        )
        .group_by(sent.c.session_id, sent.c.turn, sent.c.sent_clock_id)
    )
    return [nanos / 1e6 for nanos in rows.scalars()]
