"""`mimic serve`."""

from __future__ import annotations

import asyncio
from pathlib import Path

from rich.console import Console

from mimic_server.app import App
from mimic_server.cli.errors import Exit
from mimic_server.config import Settings


async def serve(console: Console, *, host: str | None, port: int | None, data_dir: str | None) -> Exit:
    """Serves until it is told to stop, then stops gracefully.

    Raises:
        MimicError: A setting is wrong, or something that is needed cannot be used.
    """
    folder = Path(data_dir) if data_dir else None
    app = await App.start(Settings.read(host=host, port=port, data_dir=folder))
    console.print(f"gRPC       {app.address}", highlight=False)
    console.print(f"data       {app.data_directory}", highlight=False)
    console.print(f"personas   {app.model_name}", highlight=False)
    console.print(f"adapters   {', '.join(app.channels) or 'none found'}", highlight=False)
    if app.key_file is not None:
        console.print(f"API key    in {app.key_file}; `mimic` finds it by itself", highlight=False)
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        console.print("stopping; sessions under way go on with the next start")
    finally:
        await app.stop()
    return Exit.PASSED
