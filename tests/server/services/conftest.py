from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from mimic_server.services.teams import ensure_first_team
from mimic_server.storage import SqlStorage


@pytest.fixture
async def empty_storage(tmp_path: Path) -> AsyncIterator[SqlStorage]:
    storage = await SqlStorage.open(f"sqlite:///{tmp_path / 'mimic.db'}")
    yield storage
    # Tasks that were cancelled still end their transactions.
    while others := asyncio.all_tasks() - {asyncio.current_task()}:
        await asyncio.wait(others)
    await storage.close()


@pytest.fixture
async def storage(empty_storage: SqlStorage) -> SqlStorage:
    await ensure_first_team(empty_storage)
    return empty_storage
