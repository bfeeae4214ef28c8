"""A host's side of the tests, which is the REST adapter's, and the adapter's process."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from tests.adapters.rest.hosting import AGENT, CHANNEL, FAILED, SENT, Session, Turn, choice
from tests.adapters.rest.hosting import Rest as Adapter
from tests.plugin_sdk.host import environment
from tests.support.processes import ROOT

__all__ = ["AGENT", "CHANNEL", "FAILED", "SENT", "Adapter", "Session", "Turn", "adapter_process", "choice"]


@contextmanager
def adapter_process() -> Iterator[str]:
    """Run the adapter, killed at the end; yields the path of its socket."""
    folder = tempfile.mkdtemp(prefix="mimic")
    process = subprocess.Popen(
        [sys.executable, "-m", "mimic_adapter_websocket"],
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
