"""One adapter process for all tests of a worker; each test brings up connections of its own."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator

import pytest
from grpc.aio import insecure_channel

from tests.adapters.rest.hosting import Rest
from tests.plugin_sdk.host import environment
from tests.support.processes import ROOT


@pytest.fixture(scope="session")
def adapter_socket() -> Iterator[str]:
    """Where the adapter serves."""
    folder = tempfile.mkdtemp(prefix="mimic")
    process = subprocess.Popen(
        [sys.executable, "-m", "mimic_adapter_rest"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment(PLUGIN_UNIX_SOCKET_DIR=folder),
        cwd=ROOT,
        text=True,
    )
    try:
        assert process.stdout
        line = process.stdout.readline()
        assert line, "the adapter did not start"
        yield line.split("|")[3]
    finally:
        process.kill()
        process.communicate()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
async def rest(adapter_socket: str) -> AsyncIterator[Rest]:
    """The adapter, as a host sees it."""
    async with insecure_channel(f"unix:{adapter_socket}") as channel:
        yield Rest(channel)
