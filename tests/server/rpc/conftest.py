from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.server.rpc.bench import Bench, Client, running
from tests.server.storage.conftest import url

__all__ = ["url"]


@pytest.fixture
async def bench(url: str) -> AsyncIterator[Bench]:
    async with running(url) as bench:
        yield bench


@pytest.fixture
def api(bench: Bench) -> Client:
    return bench.admin
