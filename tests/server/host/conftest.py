"""Hosts over hostile adapters."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from mimic_server.host import PluginHost

from tests.server.host.playground import QUICK, Hosts, write_adapters


@pytest.fixture
async def hosts(tmp_path: Path) -> AsyncIterator[Hosts]:
    """Makes hosts over hostile adapters of some behaviours, and closes them at the end."""
    async with contextlib.AsyncExitStack() as stack:

        def make(*behaviours: str, **arguments: Any) -> PluginHost:
            write_adapters(tmp_path, behaviours)
            usual: dict[str, Any] = {"directories": [tmp_path], "search_path": "", "limits": QUICK}
            host = PluginHost(**(usual | arguments))
            stack.push_async_callback(host.close)
            return host

        yield make
