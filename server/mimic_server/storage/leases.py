"""Leases: who works on what, across processes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Interval,
    Table,
    bindparam,
    func,
    literal,
    or_,
    select,
    text,
    union_all,
    update,
)

from mimic_server.domain.ids import TeamId
from mimic_server.domain.ports import Work
from mimic_server.domain.runs import JobState
from mimic_server.domain.sessions import SessionState
from mimic_server.storage.database import Database
from mimic_server.storage.tables import JOB_UNFINISHED, SESSION_UNFINISHED, bootstraps, runs, sessions
from mimic_server.storage.transactions import Transaction
from mimic_server.storage.types import UtcDateTime

_JOB_STATES = [state for state in JobState if not state.ended]
_SESSION_STATES = [state for state in SessionState if not state.ended]
_KINDS: dict[str, tuple[Table, Sequence[Any], str]] = {
    "run": (runs, _JOB_STATES, JOB_UNFINISHED),
    "bootstrap": (bootstraps, _JOB_STATES, JOB_UNFINISHED),
    "session": (sessions, _SESSION_STATES, SESSION_UNFINISHED),
}
"""By kind of work: its table, the states in which it is unfinished, and what of it may be abandoned."""


class _Statements:
    def __init__(self, kind: str, now: ColumnElement[datetime], until: ColumnElement[datetime]) -> None:
        table, states, unfinished = _KINDS[kind]
        owner: ColumnElement[str] = bindparam("owner")
        this = (table.c.id == bindparam("the_id")) & (table.c.team_id == bindparam("the_team"))
        free = or_(table.c.lease_until.is_(None), table.c.lease_until < now)
        self.acquire = (
            update(table)
            .where(this, table.c.state.in_(states), or_(free, table.c.lease_owner == owner))
            .values(lease_owner=owner, lease_until=until)
        )
        self.renew = (
            update(table)
            .where(table.c.lease_owner == owner)
            .values(lease_until=until)
            .returning(table.c.team_id, table.c.id)
        )
        self.release = (
            update(table).where(this, table.c.lease_owner == owner).values(lease_owner=None, lease_until=None)
        )
        # The index of unfinished rows serves only queries that repeat its condition word by word.
        self.abandoned = select(
            literal(kind).label("kind"), table.c.team_id, table.c.id, table.c.created_at
        ).where(text(unfinished), free)


class SqlLeases:
    """The `Leases` port: two columns of the row that is worked on.

    The time is the database's own where processes on several machines share it.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        now: ColumnElement[datetime] = bindparam("now", type_=UtcDateTime())
        until: ColumnElement[datetime] = bindparam("until", type_=UtcDateTime())
        if database.path is None:
            now = func.now(type_=UtcDateTime())
            until = now + bindparam("ttl", type_=Interval())
        self._statements = {kind: _Statements(kind, now, until) for kind in _KINDS}
        self._abandoned = union_all(*(statements.abandoned for statements in self._statements.values()))

    def _times(self, ttl: timedelta = timedelta()) -> dict[str, Any]:
        if self._database.path is None:
            return {"ttl": ttl}
        now = datetime.now(UTC)
        return {"now": now, "until": now + ttl}

    async def acquire(self, work: Work, owner: str, ttl: timedelta) -> bool:
        async with Transaction(self._database) as transaction:
            taken = await transaction.write(
                self._statements[work.kind].acquire, _this(work) | {"owner": owner} | self._times(ttl)
            )
            return taken.rowcount == 1

    async def renew(self, owner: str, ttl: timedelta) -> Sequence[Work]:
        held = []
        async with Transaction(self._database) as transaction:
            for kind, statements in self._statements.items():
                rows = await transaction.write(statements.renew, {"owner": owner} | self._times(ttl))
                held += [Work(kind, TeamId(row.team_id), row.id) for row in rows]
        return held

    async def release(self, work: Work, owner: str) -> None:
        async with Transaction(self._database) as transaction:
            await transaction.write(self._statements[work.kind].release, _this(work) | {"owner": owner})

    async def abandoned(self, *, limit: int = 1000) -> Sequence[Work]:
        async with Transaction(self._database) as transaction:
            rows = await transaction.read(
                self._abandoned.order_by("created_at", "id").limit(limit), self._times()
            )
            return [Work(row.kind, TeamId(row.team_id), row.id) for row in rows]


def _this(work: Work) -> dict[str, Any]:
    return {"the_id": work.id, "the_team": work.team_id}
