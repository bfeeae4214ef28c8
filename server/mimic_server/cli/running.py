"""A server for a command: the one that runs, or an embedded one for as long as the command needs it."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from mimic_server.app import App
from mimic_server.cli.client import ADDRESS_FILE, Target, data_directory, find
from mimic_server.cli.errors import of_mimic
from mimic_server.cli.remote import Remote, reach
from mimic_server.config import Settings
from mimic_server.domain.errors import MimicError, PreconditionError
from mimic_server.storage.directory import DataDirectory


@asynccontextmanager
async def server(
    *, address: str | None, api_key: str | None, data_dir: str | None, **settings: Any
) -> AsyncIterator[Remote]:
    """The server that was named or that runs on the data directory; else one for as long as the block lasts.

    Raises:
        CommandError: It cannot be started.
    """
    if address or (data_directory(data_dir) / ADDRESS_FILE).exists():
        async with reach(find(address, api_key, data_dir)) as remote:
            yield remote
        return
    try:
        folder = data_directory(data_dir)
        # What the command prints is for people; the log is for those who look for a cause.
        chosen = Settings.read(data_dir=folder, log_file=folder / "server.log", port=0, **settings)
        try:
            app = await App.start(chosen, published=False)
        except PreconditionError as error:
            if error.reason != DataDirectory.IN_USE:
                raise
            # Another command's server is there for that command alone.
            folder /= f"beside-{os.getpid()}"
            chosen = Settings.read(data_dir=folder, log_file=folder / "server.log", port=0, **settings)
            app = await App.start(chosen, published=False)
    except MimicError as error:
        raise of_mimic(error) from None
    try:
        async with reach(Target(app.address, app.api_key)) as remote:
            remote.data_directory = app.data_directory
            yield remote
    finally:
        await app.stop()
