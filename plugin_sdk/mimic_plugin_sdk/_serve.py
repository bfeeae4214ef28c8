"""Runs an adapter: `serve` is the whole of an adapter's `__main__`."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from mimic_plugin_sdk import _stdout
from mimic_plugin_sdk._adapter import Adapter
from mimic_plugin_sdk._early import started
from mimic_plugin_sdk._launch import (
    Launch,
    LaunchError,
    handshake,
    launch_from,
    log_level,
    open_to_group,
    socket_address,
    socket_path,
)
from mimic_plugin_sdk._log import route_logging

if TYPE_CHECKING:
    from mimic_plugin_sdk._server import AdapterServer

HAS_UNIX_SOCKETS = hasattr(socket, "AF_UNIX")
"""False on Windows, where a loopback port serves instead."""


def serve(adapter: type[Adapter[Any]], argv: Sequence[str] | None = None) -> None:
    """Serve an adapter until its host ends it, then exit the process.

    Started by Mimic (the cookie is in the environment), it serves on a private socket and says where in the
    first line on stdout. Started by a person, `--help` tells what it is, `--manifest` prints the
    manifest as JSON, and `--listen host:port` serves it for a Mimic elsewhere.

    Args:
        adapter: The adapter's class; called without arguments.
        argv: Command line without the program's name. None: the process's own.

    Raises:
        SystemExit: Always: 0 after an orderly end, 1 after an error, 2 for a wrong command line.
        TypeError: The class has no manifest, or does not say what its settings are.
    """
    for missing in (name for name in ("manifest", "settings_type") if not hasattr(adapter, name)):
        raise TypeError(
            f"{adapter.__name__} has no {missing}; subclass Adapter[YourSettings], with a manifest"
        )
    arguments = sys.argv[1:] if argv is None else argv
    if arguments or _stdout.taken_over is None:
        from mimic_plugin_sdk._cli import main  # noqa: PLC0415 - argparse is not needed to be launched

        sys.exit(main(adapter, arguments))
    try:
        # The terminal sends SIGINT to the whole group, and the end of an adapter is the host's to decide.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        route_logging(log_level(os.environ))
        asyncio.run(_launched(adapter, _stdout.taken_over))
    except LaunchError as error:
        print(f"{adapter.manifest.name}: {error}", file=sys.stderr)  # noqa: T201 - one clear line
        sys.exit(1)
    sys.exit(0)


async def _launched(adapter: type[Adapter[Any]], host: _stdout.Takeover) -> None:
    from mimic_plugin_sdk._server import AdapterServer  # noqa: PLC0415 - after what may fail at once

    launch = launch_from(os.environ)
    server = AdapterServer(adapter())
    await server.prepare()
    path = socket_path(launch) if HAS_UNIX_SOCKETS else ""
    try:
        if path:
            await _start_unix(server, path)
            if launch.socket_group:
                open_to_group(path, launch.socket_group)
            told = handshake(launch, "unix", path)
        else:
            told = handshake(launch, "tcp", await _start_tcp(server, launch))
        server.die_with(host.host_pid)
        host.tell(told)
        started()
        await server.wait_until_drained()
    finally:
        await server.stop()
        with suppress(OSError):
            os.unlink(path)  # noqa: PTH108 - pathlib costs start time


async def _start_unix(server: "AdapterServer", path: str) -> None:
    mask = os.umask(0o077)
    try:
        server.bind(socket_address(path))
        await server.start()
    finally:
        os.umask(mask)


async def _start_tcp(server: "AdapterServer", launch: Launch) -> str:
    for port in launch.ports:
        with suppress(LaunchError):
            server.bind(f"127.0.0.1:{port}")
            await server.start()
            return f"127.0.0.1:{port}"
    raise LaunchError(f"none of the ports {launch.ports.start} to {launch.ports.stop - 1} is free")
