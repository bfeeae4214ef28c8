"""One adapter process for all tests of a worker; each test brings up connections of its own."""

from collections.abc import AsyncIterator, Iterator

import pytest
from grpc.aio import insecure_channel

from tests.adapters.websocket.hosting import Adapter, adapter_process


@pytest.fixture(scope="session")
def adapter_socket() -> Iterator[str]:
    """Where the adapter serves."""
    with adapter_process() as socket:
        yield socket


@pytest.fixture(scope="session")
def another_socket() -> Iterator[str]:
    """Where another process of it serves."""
    with adapter_process() as socket:
        yield socket


@pytest.fixture
async def another(another_socket: str) -> AsyncIterator[Adapter]:
    """Another process of the adapter."""
    async with insecure_channel(f"unix:{another_socket}") as channel:
        yield Adapter(channel)


@pytest.fixture
async def adapter(adapter_socket: str) -> AsyncIterator[Adapter]:
    """The adapter, as a host sees it."""
    async with insecure_channel(f"unix:{adapter_socket}") as channel:
        yield Adapter(channel)
