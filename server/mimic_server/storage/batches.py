"""What the journal writes: entries as rows, and the few statements that store the rows of many."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any
from uuid import UUID

from sqlalchemy import (
    CTE,
    Column,
    Dialect,
    Insert,
    Table,
    Update,
    bindparam,
    column,
    insert,
    or_,
    select,
    text,
    update,
    values,
)
from sqlalchemy.dialects import postgresql, sqlite

from mimic_server.domain.ports import JournalEntry
from mimic_server.storage.kinds import MESSAGES, RAW_PAYLOADS, RESULTS, SESSIONS
from mimic_server.storage.mappings import RowEncoder
from mimic_server.storage.tables import evaluation_results, messages, raw_payloads, sessions

MAX_ROWS = 32
"""Rows that one statement writes at most. They go out in powers of two: few statements serve all counts."""

_MESSAGE_KEY = ("session_id", "seq")
_MESSAGE_FIXED = frozenset(
    {*_MESSAGE_KEY, "id", "attempt", "turn", "sender", "parts", "created_at", "in_reply_to", "replaces"}
)
_SESSION_FIXED = frozenset(
    {
        *("id", "team_id", "agent_id", "connection_id", "persona_id", "run_id", "repeat"),
        *("persona", "options", "created_at", "request_id"),
    }
)

Values = list[Any]
Statement = Insert | Update


@dataclass(slots=True)
class EncodedEntry:
    """An entry as rows in the driver's types."""

    session_ids: set[UUID]
    appended: list[Values] = field(default_factory=list)
    updated: dict[tuple[Any, Any], Values] = field(default_factory=dict)
    sessions: dict[Any, Values] = field(default_factory=dict)
    raw: list[Values] = field(default_factory=list)
    results: dict[tuple[Any, Any], Values] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Batch:
    """Statements with their parameters, and how many rows they change if all is as it should be."""

    statements: Sequence[tuple[str, Values]]
    rows: int


class Batches:
    """Makes entries into rows, and rows into batches, for one kind of database."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._sql: dict[tuple[str, int], str] = {}
        self._messages = RowEncoder(MESSAGES, [c.name for c in MESSAGES.columns], dialect)
        self._updates = RowEncoder(
            MESSAGES,
            [*_MESSAGE_KEY, *(c.name for c in MESSAGES.columns if c.name not in _MESSAGE_FIXED)],
            dialect,
        )
        self._sessions = RowEncoder(
            SESSIONS.mapping,
            ["id", "team_id", *(c.name for c in SESSIONS.mapping.written if c.name not in _SESSION_FIXED)],
            dialect,
        )
        self._raw = RowEncoder(RAW_PAYLOADS, [c.name for c in RAW_PAYLOADS.columns], dialect)
        self._results = RowEncoder(RESULTS, [c.name for c in RESULTS.columns], dialect)

    def encode(self, entry: JournalEntry) -> EncodedEntry:
        """An entry as rows. Raises ValueError where a value of it cannot be stored."""
        encoded = EncodedEntry({message.session_id for message in (*entry.appended, *entry.updated)})
        encoded.appended = [self._messages.encode(message) for message in entry.appended]
        for message in entry.updated:
            row = self._updates.encode(message)
            encoded.updated[row[0], row[1]] = row
        if entry.session is not None:
            encoded.session_ids.add(entry.session.id)
            row = self._sessions.encode(entry.session)
            encoded.sessions[row[0]] = row
        for payload in entry.raw:
            encoded.session_ids.add(payload.session_id)
            encoded.raw.append(self._raw.encode(payload))
        for result in entry.results:
            encoded.session_ids.add(result.session_id)
            encoded.results[result.session_id, result.evaluation_id] = self._results.encode(result)
        return encoded

    def batch(self, entries: Iterable[EncodedEntry]) -> Batch:
        """All of these entries in few statements. Of what several of them replace, the last one's is kept."""
        appended, updated, saved, raw, results = [], {}, {}, [], {}
        for entry in entries:
            appended += entry.appended
            updated.update(entry.updated)
            saved.update(entry.sessions)
            raw += entry.raw
            results.update(entry.results)
        kinds: dict[str, Sequence[Values]] = {
            "append": appended,
            "update": list(updated.values()),
            "session": list(saved.values()),
            "raw": raw,
            "result": list(results.values()),
        }
        statements = [
            (self._statement(kind, len(part)), list(chain.from_iterable(part)))
            for kind, rows in kinds.items()
            for part in _parts(rows)
        ]
        return Batch(statements, sum(map(len, kinds.values())))

    def _statement(self, kind: str, rows: int) -> str:
        sql = self._sql.get((kind, rows))
        if sql is None:
            sql = self._sql[kind, rows] = str(self._build(kind, rows).compile(dialect=self._dialect))
        return sql

    def _build(self, kind: str, rows: int) -> Statement:
        match kind:
            case "append":
                return _insert(messages, self._messages.columns, rows)
            case "raw":
                return _insert(raw_payloads, self._raw.columns, rows)
            case "update":
                given = _given(self._updates.columns, rows)
                return (
                    update(messages)
                    .where(*(messages.c[name] == given.c[name] for name in _MESSAGE_KEY))
                    .values({c.name: given.c[c.name] for c in self._updates.columns[2:]})
                )
            case "session":
                given = _given(self._sessions.columns, rows)
                changed: dict[str, Any] = {c.name: given.c[c.name] for c in self._sessions.columns[2:]}
                # Someone may ask for the end while the session's worker writes what it knew before.
                changed["cancel_requested"] = or_(sessions.c.cancel_requested, given.c.cancel_requested)
                return (
                    update(sessions)
                    .where(sessions.c.id == given.c.id, sessions.c.team_id == given.c.team_id)
                    .values(changed)
                )
            case _:
                return self._replace_results(rows)

    def _replace_results(self, rows: int) -> Insert:
        columns = self._results.columns
        given = _given(columns, rows)
        insert_ = postgresql.insert if self._dialect.name == "postgresql" else sqlite.insert
        # Without a WHERE, SQLite would read ON CONFLICT as the ON of a join.
        statement: sqlite.Insert | postgresql.Insert = insert_(evaluation_results).from_select(
            [c.name for c in columns], select(*given.c).where(text("true"))
        )
        key = [evaluation_results.c.session_id, evaluation_results.c.evaluation_id]
        return statement.on_conflict_do_update(
            index_elements=key,
            set_={c.name: statement.excluded[c.name] for c in columns if c not in key},
        )


def _parts(rows: Sequence[Values]) -> Iterable[Sequence[Values]]:
    """The rows in parts of MAX_ROWS, and the rest in ever smaller powers of two."""
    at, size = 0, MAX_ROWS
    while at < len(rows):
        while size > len(rows) - at:
            size //= 2
        yield rows[at : at + size]
        at += size


def _given(columns: Sequence[Column[Any]], rows: int) -> CTE:
    """The parameters as a table."""
    given = values(*(column(c.name, c.type) for c in columns), name="given")
    return given.data([tuple(bindparam(None, type_=c.type) for c in columns) for _ in range(rows)]).cte(
        "given"
    )


def _insert(table: Table, columns: Sequence[Column[Any]], rows: int) -> Statement:
    """Rows of sessions. Their team is the session's: NULL, which is refused, where there is no session."""
    given = _given(columns, rows)
    team = select(sessions.c.team_id).where(sessions.c.id == given.c.session_id).scalar_subquery()
    return insert(table).from_select([*(c.name for c in columns), "team_id"], select(*given.c, team))
