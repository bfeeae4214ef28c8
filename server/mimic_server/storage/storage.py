"""The storage port on a SQL database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from functools import partial
from typing import Self

from sqlalchemy import bindparam, or_, select, update

from mimic_server.domain.ids import RunId, TeamId
from mimic_server.domain.teams import ApiKey, Team
from mimic_server.storage import schema
from mimic_server.storage.database import Database
from mimic_server.storage.journal import GroupCommitJournal
from mimic_server.storage.kinds import (
    AGENTS,
    API_KEYS,
    BOOTSTRAPS,
    EVALUATIONS,
    PERSONAS,
    RUNS,
    SESSIONS,
    TEAMS,
)
from mimic_server.storage.leases import SqlLeases
from mimic_server.storage.messages import SqlMessageReader, SqlResultReader, first_answer_latencies
from mimic_server.storage.repositories import SqlRepository
from mimic_server.storage.sinks import EngineSink, SqliteSink
from mimic_server.storage.tables import api_keys, teams
from mimic_server.storage.transactions import Transaction

_FIND_API_KEY = select(*API_KEYS.mapping.columns).where(api_keys.c.key_sha256 == bindparam("the_key"))
_MINUTE = bindparam("minute", type_=api_keys.c.last_used_at.type)
_TOUCH_API_KEY = (
    update(api_keys)
    .where(
        api_keys.c.id == bindparam("the_id"),
        or_(api_keys.c.last_used_at.is_(None), api_keys.c.last_used_at < _MINUTE),
    )
    .values(last_used_at=_MINUTE)
)


class SqlUnitOfWork:
    """The `UnitOfWork` port: one transaction in the name of one team."""

    def __init__(self, transaction: Transaction, team_id: TeamId) -> None:
        self._transaction = transaction
        self._team_id = team_id
        self.agents = SqlRepository(transaction, team_id, AGENTS)
        self.personas = SqlRepository(transaction, team_id, PERSONAS)
        self.evaluations = SqlRepository(transaction, team_id, EVALUATIONS)
        self.sessions = SqlRepository(transaction, team_id, SESSIONS)
        self.runs = SqlRepository(transaction, team_id, RUNS)
        self.bootstraps = SqlRepository(transaction, team_id, BOOTSTRAPS)
        self.api_keys = SqlRepository(transaction, team_id, API_KEYS)
        self.messages = SqlMessageReader(transaction, team_id)
        self.results = SqlResultReader(transaction, team_id)

    async def first_answer_latencies(self, run_id: RunId) -> Sequence[float]:
        return await first_answer_latencies(self._transaction, self._team_id, run_id)


class SqlStorage:
    """The `Storage` port, on SQLite or PostgreSQL."""

    def __init__(self, database: Database, journal: GroupCommitJournal, revision: str) -> None:
        self._database = database
        self._revision = revision
        self.journal = journal
        self.leases = SqlLeases(database)

    @classmethod
    async def open(cls, url: str, *, pool_size: int = 5, migrate: bool = True) -> Self:
        """Opens the database and brings its schema up to date.

        Args:
            url: `sqlite:///path`, or an address of PostgreSQL as `postgresql://user@host/database`.
            pool_size: Connections that this process holds for reading and for API calls.
            migrate: False: an older schema is refused instead of migrated.

        Raises:
            PreconditionError: The schema is newer than this version of Mimic, or is not Mimic's.
            InvalidInputError: `url` is not an address of a database that Mimic speaks to.
            UnavailableError: The database cannot be reached, or its file cannot be opened.
        """
        database = Database(url, pool_size)
        path = database.path
        # The journal connects first: a connection of the pool that fails leaves its thread behind.
        sink = EngineSink(database) if path is None else await SqliteSink.open(database, path)
        try:
            async with Transaction(database) as transaction:
                revision = await transaction.run(partial(schema.upgrade, migrate=migrate))
            database.remember_file()
        except BaseException:
            await sink.close()
            await database.close()
            raise
        return cls(database, GroupCommitJournal(database, sink), revision)

    @asynccontextmanager
    async def team(self, team_id: TeamId) -> AsyncIterator[SqlUnitOfWork]:
        async with Transaction(self._database) as transaction:
            yield SqlUnitOfWork(transaction, team_id)

    async def add_team(self, team: Team) -> None:
        async with Transaction(self._database) as transaction:
            await SqlRepository(transaction, team.id, TEAMS).add(team)

    async def get_team(self, team_id: TeamId) -> Team:
        async with Transaction(self._database) as transaction:
            return await SqlRepository(transaction, team_id, TEAMS).get(team_id)

    async def save_team(self, team: Team, *, if_etag: int | None = None) -> None:
        async with Transaction(self._database) as transaction:
            await SqlRepository(transaction, team.id, TEAMS).save(team, if_etag=if_etag)

    async def find_api_key(self, key_sha256: bytes) -> ApiKey | None:
        async with Transaction(self._database) as transaction:
            row = (await transaction.read(_FIND_API_KEY, {"the_key": key_sha256})).first()
        return None if row is None else API_KEYS.mapping.entity(row)

    async def touch_api_key(self, key: ApiKey, at: datetime) -> None:
        minute = at.replace(second=0, microsecond=0)
        if key.last_used_at is not None and key.last_used_at >= minute:
            return
        async with Transaction(self._database) as transaction:
            await transaction.write(_TOUCH_API_KEY, {"the_id": key.id, "minute": minute})

    async def is_empty(self) -> bool:
        async with Transaction(self._database) as transaction:
            return (await transaction.read(select(teams.c.id).limit(1))).first() is None

    async def schema_revision(self) -> str:
        return self._revision

    async def close(self) -> None:
        await self.journal.close()
        await self._database.close()
