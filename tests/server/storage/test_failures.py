"""What the storage does when the disk is full, the file is gone, or the process dies."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from collections import defaultdict
from collections.abc import Awaitable
from pathlib import Path
from uuid import UUID

import pytest
from mimic_server.domain.errors import InvalidInputError, NotFoundError, UnavailableError
from mimic_server.domain.ids import PersonaId, SessionId, TeamId
from mimic_server.domain.messages import ReceiptStatus, Text
from mimic_server.domain.ports import JournalEntry
from mimic_server.storage import SqlStorage
from mimic_server.storage import database as database_module
from mimic_server.storage import sqlite as sqlite_module

from tests.server.storage.conftest import sqlite_url
from tests.server.storage.make import World, message
from tests.server.storage.witness import SESSIONS
from tests.support.processes import ROOT


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_module, "BUSY_TIMEOUT_SECONDS", 0.05)
    monkeypatch.setattr(database_module, "WAIT_TO_WRITE_SECONDS", 0.05)


async def reason(writing: Awaitable[object]) -> str:
    """Why a write is refused, which must be told in one line."""
    with pytest.raises(UnavailableError) as refused:
        await writing
    assert "\n" not in refused.value.message
    assert "sqlite" not in refused.value.message.lower()
    return refused.value.reason


async def add_persona(world: World) -> PersonaId:
    persona = world.persona()
    async with world.storage.team(world.team.id) as unit:
        await unit.personas.add(persona)
    return persona.id


async def seqs(world: World, session_id: SessionId) -> list[int]:
    async with world.storage.team(world.team.id) as unit:
        return [m.seq for m in await unit.messages.list(session_id)]


def pages(storage: SqlStorage, limit: int) -> None:
    """Lets the journal's view of the database have so many pages and no more."""
    connection = storage.journal._sink._connection  # type: ignore[attr-defined]
    connection.execute(f"PRAGMA max_page_count = {limit}").fetchall()


async def test_a_full_disk_is_told_and_leaves_nothing_half_written(
    sqlite: SqlStorage, sqlite_world: World
) -> None:
    sessions = [await sqlite_world.stored_session() for _ in range(3)]
    await sqlite.journal.write(JournalEntry(appended=[message(sessions[0], 1)]))
    pages(sqlite, 1)
    large = (Text("x" * 200_000),)
    outcomes = await asyncio.gather(
        *(
            sqlite.journal.write(JournalEntry(appended=[message(s, 2), message(s, 3, parts=large)]))
            for s in sessions
        ),
        return_exceptions=True,
    )
    assert [getattr(outcome, "reason", None) for outcome in outcomes] == ["DATABASE_FULL"] * 3
    assert [await seqs(sqlite_world, s.id) for s in sessions] == [[1], [], []]
    pages(sqlite, 1_000_000)
    await sqlite.journal.write(JournalEntry(appended=[message(sessions[0], 2, parts=large)]))
    assert await seqs(sqlite_world, sessions[0].id) == [1, 2]


async def test_api_calls_are_told_of_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = await SqlStorage.open(sqlite_url(tmp_path))
    await storage.close()
    monkeypatch.setattr(sqlite_module, "_PRAGMAS", (*sqlite_module._PRAGMAS, "PRAGMA max_page_count = 1"))
    storage = await SqlStorage.open(sqlite_url(tmp_path))
    world = await World.make(storage)

    async def fill() -> None:
        for _ in range(10_000):
            await add_persona(world)

    assert await reason(fill()) == "DATABASE_FULL"
    assert await storage.get_team(world.team.id) == world.team
    await storage.close()


async def test_another_programs_lock_is_told(impatient: None, tmp_path: Path) -> None:
    storage = await SqlStorage.open(sqlite_url(tmp_path))
    world = await World.make(storage)
    session = await world.stored_session()
    entry = JournalEntry(appended=[message(session, 1)])
    other = sqlite3.connect(tmp_path / "mimic.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert await reason(storage.journal.write(entry)) == "DATABASE_LOCKED"
    assert await reason(add_persona(world)) == "DATABASE_LOCKED"
    assert await seqs(world, session.id) == []
    other.execute("ROLLBACK")
    other.close()
    await storage.journal.write(entry)
    await add_persona(world)
    await storage.close()


async def test_a_file_that_was_removed_takes_no_more_writes(sqlite: SqlStorage, sqlite_world: World) -> None:
    session = await sqlite_world.stored_session()
    path = sqlite._database.path
    assert path is not None
    path.rename(path.with_suffix(".moved"))
    entry = JournalEntry(appended=[message(session, 1)])
    assert await reason(sqlite.journal.write(entry)) == "DATABASE_GONE"
    assert await reason(add_persona(sqlite_world)) == "DATABASE_GONE"
    assert await reason(sqlite.get_team(sqlite_world.team.id)) == "DATABASE_GONE"
    path.write_bytes(b"")
    assert await reason(sqlite.journal.write(entry)) == "DATABASE_GONE"


@pytest.mark.parametrize(
    "path, expected", [("nowhere/mimic.db", "DATABASE_GONE"), ("junk", "DATABASE_DAMAGED")]
)
async def test_a_file_that_cannot_be_opened_is_told(tmp_path: Path, path: str, expected: str) -> None:
    (tmp_path / "junk").write_bytes(b"not a database at all" * 500)
    assert await reason(SqlStorage.open(f"sqlite:///{tmp_path / path}")) == expected


async def test_a_database_server_that_is_not_there_is_told() -> None:
    assert await reason(SqlStorage.open("postgresql://u:s3cret@127.0.0.1:1/x")) == "DATABASE_UNREACHABLE"


@pytest.mark.parametrize(
    "address", ["", "mimic.db", "mysql://host/name", "sqlite://", "sqlite:///:memory:", "sqlite:///file:x"]
)
async def test_what_is_no_address_of_a_database_is_told(address: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        await SqlStorage.open(address)
    assert [violation.field for violation in refused.value.violations] == ["DATABASE_URL"]


async def test_one_that_keeps_the_database_locked_delays_others_only_so_long(
    impatient: None, tmp_path: Path
) -> None:
    storage = await SqlStorage.open(sqlite_url(tmp_path))
    world = await World.make(storage)
    session = await world.stored_session()
    entry = JournalEntry(appended=[message(session, 1)])
    async with storage.team(world.team.id) as unit:
        await unit.personas.add(world.persona())
        assert await reason(storage.journal.write(entry)) == "DATABASE_BUSY"
        assert await reason(add_persona(world)) == "DATABASE_BUSY"
        assert await seqs(world, session.id) == []
    await storage.journal.write(entry)
    await storage.close()


async def test_more_calls_than_connections_wait_their_turn(tmp_path: Path) -> None:
    storage = await SqlStorage.open(sqlite_url(tmp_path), pool_size=1)
    world = await World.make(storage)
    await asyncio.gather(*(add_persona(world) for _ in range(50)))
    storage._database.engine.sync_engine.pool._timeout = 0.01  # type: ignore[attr-defined]
    async with storage.team(world.team.id) as unit:
        await unit.agents.get(world.agent.id)
        assert await reason(storage.get_team(world.team.id)) == "DATABASE_BUSY"
    await storage.close()


async def test_a_cancelled_unit_of_work_leaves_nothing_and_locks_no_one(world: World) -> None:
    added = asyncio.Event()
    persona = world.persona()

    async def stall() -> None:
        async with world.storage.team(world.team.id) as unit:
            await unit.personas.add(persona)
            added.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(stall())
    await added.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await add_persona(world)
    async with world.storage.team(world.team.id) as unit:
        with pytest.raises(NotFoundError):
            await unit.personas.get(persona.id)


async def test_calls_cancelled_at_any_step_lock_no_one(world: World) -> None:
    session = await world.stored_session()
    for steps in range(40):
        task = asyncio.create_task(add_persona(world))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    await add_persona(world)
    await world.storage.journal.write(JournalEntry(appended=[message(session, 1)]))


Said = dict[str, list[tuple[str, int]]]
"""What was acknowledged, by its kind: an id and a seq."""


async def acknowledged(directory: Path, *arguments: str, lines: int = 0) -> Said:
    """What a process that writes says was stored, until it ends, or is killed after so many lines."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.server.storage.witness", str(directory), *arguments),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    said: Said = defaultdict(list)
    count = 0
    async for line in process.stdout:
        kind, what, seq = line.decode().split()
        said[kind].append((what, int(seq)))
        count += 1
        if count == lines:
            process.kill()
    await process.wait()
    return said


async def check(directory: Path, said: Said) -> None:
    """Nothing of what was acknowledged is missing, and nothing is half there."""
    storage = await SqlStorage.open(sqlite_url(directory))
    async with storage.team(TeamId(UUID(hex=said["team"][0][0]))) as unit:
        for key, _ in said["persona"]:
            await unit.personas.get(UUID(hex=key))
        for key in {key for key, _ in said["message"]}:
            messages = await unit.messages.list(UUID(hex=key), limit=1_000_000)
            assert [m.seq for m in messages] == list(range(1, len(messages) + 1))
            assert len(messages) >= max(seq for whose, seq in said["message"] if whose == key)
            receipts = [seq for whose, seq in said["receipt"] if whose == key]
            assert all(messages[seq - 1].receipt is ReceiptStatus.SENT for seq in receipts)
            assert (await unit.sessions.get(UUID(hex=key))).message_count == len(messages)
    await storage.close()
    file = sqlite3.connect(directory / "mimic.db")
    assert file.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    file.close()


@pytest.mark.parametrize("lines", [10, 500, 3000])
async def test_nothing_acknowledged_is_lost_to_a_killed_process(tmp_path: Path, lines: int) -> None:
    said = await acknowledged(tmp_path, lines=lines)
    assert len(said["message"]) + len(said["receipt"]) + len(said["persona"]) >= lines - 1
    await check(tmp_path, said)


@pytest.mark.parametrize("more", [0, 100_000])
async def test_nothing_acknowledged_is_lost_to_a_disk_that_takes_no_more(tmp_path: Path, more: int) -> None:
    said = await acknowledged(tmp_path, str(more))
    assert {what for what, _ in said["ended"]} <= {"DATABASE_FULL", "DATABASE_UNWRITABLE"}
    assert len(said["ended"]) == SESSIONS + 1
    assert bool(said["message"]) == bool(more)
    await check(tmp_path, said)
