"""Runs an adapter: `serve` is the whole of an adapter's `__main__`."""

from collections.abc import Sequence
from typing import Any

from mimic_plugin_sdk._adapter import Adapter

# SKELETON: the signature is final, the body follows.


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
    """
    raise NotImplementedError
