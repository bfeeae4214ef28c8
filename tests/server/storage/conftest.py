from __future__ import annotations

import os
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from mimic_server.storage import SqlStorage
from mimic_server.storage.database import Database
from sqlalchemy import text

from tests.server.storage.make import World

POSTGRES = os.environ.get("MIMIC_TEST_POSTGRES_URL", "")
"""A PostgreSQL database, in which every test makes a schema of its own. Empty: SQLite alone is tested."""


@pytest.fixture(params=["sqlite", "postgresql"] if POSTGRES else ["sqlite"])
async def url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    if request.param == "sqlite":
        yield sqlite_url(tmp_path)
        return
    schema = f"mimic_{uuid.uuid4().hex}"
    engine = Database(POSTGRES, 1).engine
    async with engine.begin() as connection:
        await connection.execute(text(f"CREATE SCHEMA {schema}"))
    yield f"{POSTGRES}?search_path={schema}"
    async with engine.begin() as connection:
        await connection.execute(text(f"DROP SCHEMA {schema} CASCADE"))
    await engine.dispose()


@pytest.fixture
async def storage(url: str) -> AsyncIterator[SqlStorage]:
    storage = await SqlStorage.open(url)
    yield storage
    await storage.close()


@pytest.fixture
async def sqlite(tmp_path: Path) -> AsyncIterator[SqlStorage]:
    storage = await SqlStorage.open(sqlite_url(tmp_path))
    yield storage
    await storage.close()


@pytest.fixture
async def world(storage: SqlStorage) -> World:
    return await World.make(storage)


@pytest.fixture
async def sqlite_world(sqlite: SqlStorage) -> World:
    return await World.make(sqlite)


def sqlite_url(directory: Path) -> str:
    return f"sqlite:///{directory / 'mimic.db'}"
