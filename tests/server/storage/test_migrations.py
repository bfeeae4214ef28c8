"""The schema's history: from nothing to the tables, once, and never past what this version knows."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from mimic_server.domain.errors import PreconditionError
from mimic_server.storage import SqlStorage, check_migrations, schema
from mimic_server.storage.tables import metadata
from sqlalchemy import Column, Index, Integer, MetaData, text

from tests.server.storage.conftest import sqlite_url
from tests.server.storage.make import World


def run(path: Path, sql: str) -> None:
    connection = sqlite3.connect(path)
    connection.execute(sql)
    connection.commit()
    connection.close()


async def refusal(path: Path, *, migrate: bool = True) -> PreconditionError:
    with pytest.raises(PreconditionError) as refused:
        await SqlStorage.open(sqlite_url(path), migrate=migrate)
    assert "\n" not in refused.value.message
    return refused.value


def test_the_history_makes_the_tables(capsys: pytest.CaptureFixture[str]) -> None:
    assert check_migrations.main() == 0
    assert capsys.readouterr().err == ""


def test_the_history_has_one_head() -> None:
    assert schema.revisions()[0] == "0001"


async def test_the_history_makes_the_tables_on_either_engine(storage: SqlStorage) -> None:
    async with storage._database.engine.connect() as connection:
        assert await connection.run_sync(check_migrations.drift) == []


def test_drift_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    changed = MetaData(naming_convention=metadata.naming_convention)
    for table in metadata.tables.values():
        table.to_metadata(changed)
    changed.tables["teams"].append_column(Column("colour", Integer()))
    held = next(index for index in changed.tables["runs"].indexes if index.name == "ix_runs_held")
    changed.tables["runs"].indexes.remove(held)
    Index("ix_runs_held", changed.tables["runs"].c.lease_owner)
    with check_migrations.migrated() as connection:
        found = check_migrations.drift(connection, changed)
    assert len(found) == 2
    assert "colour" in found[0]
    assert "ix_runs_held" in found[1]
    monkeypatch.setattr(check_migrations, "drift", lambda _: found)
    assert check_migrations.main() == 1
    assert "colour" in capsys.readouterr().err


async def test_a_database_is_brought_up_once_and_keeps_its_data(url: str) -> None:
    storage = await SqlStorage.open(url)
    world = await World.make(storage)
    await storage.close()
    for migrate in (True, False):
        again = await SqlStorage.open(url, migrate=migrate)
        assert await again.schema_revision() == "0001"
        assert await again.get_team(world.team.id) == world.team
        await again.close()


async def test_two_that_start_at_once_bring_it_up_once(url: str) -> None:
    storages = await asyncio.gather(*(SqlStorage.open(url) for _ in range(3)))
    for storage in storages:
        assert await storage.is_empty()
        await storage.close()


async def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    await (await SqlStorage.open(sqlite_url(tmp_path))).close()
    run(tmp_path / "mimic.db", "UPDATE alembic_version SET version_num = '9999'")
    error = await refusal(tmp_path)
    assert error.reason == "SCHEMA_UNKNOWN"
    assert "9999" in error.message


async def test_someone_elses_database_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    run(tmp_path / "mimic.db", "CREATE TABLE agents (name TEXT)")
    assert (await refusal(tmp_path)).reason == "SCHEMA_UNKNOWN"
    connection = sqlite3.connect(tmp_path / "mimic.db")
    assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("agents",)]
    connection.close()


async def test_an_older_schema_is_refused_where_nothing_may_be_migrated(tmp_path: Path) -> None:
    assert (await refusal(tmp_path, migrate=False)).reason == "SCHEMA_OUTDATED"


async def test_a_migration_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    upgrade = command.upgrade

    def fail(config: Config, revision: str) -> None:
        upgrade(config, revision)
        raise LookupError

    monkeypatch.setattr(command, "upgrade", fail)
    with pytest.raises(LookupError):
        await SqlStorage.open(sqlite_url(tmp_path))
    connection = sqlite3.connect(tmp_path / "mimic.db")
    assert connection.execute("SELECT name FROM sqlite_master").fetchall() == []
    connection.close()


async def test_listings_and_leases_find_their_indexes(sqlite: SqlStorage) -> None:
    async def plan(sql: str) -> str:
        async with sqlite._database.engine.connect() as connection:
            rows = await connection.execute(text(f"EXPLAIN QUERY PLAN {sql}"))
            return " ".join(str(row.detail) for row in rows)

    listed = "SELECT * FROM sessions WHERE team_id = 'x' AND {} ORDER BY created_at DESC, id DESC LIMIT 50"
    for column in ("run_id", "agent_id", "persona_id"):
        found = await plan(listed.format(f"{column} = 'y'"))
        assert f"ix_sessions_{column}_listed" in found
        assert "TEMP B-TREE" not in found
    assert "ix_sessions_held" in await plan("UPDATE sessions SET turns = 0 WHERE lease_owner = 'x'")
    abandoned = str(sqlite.leases._statements["session"].abandoned)
    for parameter in (":now", ":param_1"):
        abandoned = abandoned.replace(parameter, "'x'")
    assert "ix_sessions_unfinished" in await plan(f"{abandoned} ORDER BY created_at")
