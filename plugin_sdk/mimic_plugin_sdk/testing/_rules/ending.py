"""How an adapter ends: when it is asked, when it is told, and when its host is gone."""

import asyncio
import os
import signal
import sys
import time
from datetime import timedelta

import grpc

from mimic_plugin_sdk.testing._bench import Bench, Peer
from mimic_plugin_sdk.testing._launcher import AdapterProcess
from mimic_plugin_sdk.testing._rule import BrokenError, rule
from mimic_plugin_sdk.testing._wire import RefusedError

_AT_ONCE = timedelta(seconds=1)
_DRAIN_LIMIT = timedelta(seconds=5)

_HOST = """
import os, subprocess, sys
child = subprocess.Popen(sys.argv[1:], process_group=0)
with open(os.path.join(os.environ["PLUGIN_UNIX_SOCKET_DIR"], "child"), "w") as file:
    file.write(str(child.pid))
child.wait()
"""
"""A host that hands its pipes on, so that their end tells when both are gone."""


@rule("E1-shutdown", "Shutdown with a session open answers at once; then NOT_SERVING, and gone within 5 s")
async def shutdown(bench: Bench) -> str:
    async with bench.fresh() as peer, peer.session() as session:
        await session.exchange()
        begun = time.monotonic()
        try:
            await peer.client.shutdown(_AT_ONCE)
        except TimeoutError:
            raise BrokenError("Shutdown to answer within 1 s", "no answer") from None
        except RefusedError as error:
            # A Go peer stops its server under the call.
            if error.status.code is not grpc.StatusCode.UNAVAILABLE:
                raise
        process = _process(peer)
        await _stops_serving(peer, process)
        if not await process.ended(_DRAIN_LIMIT):
            raise BrokenError("the process to end within 5 s of Shutdown", process.account())
        took = time.monotonic() - begun
        socket = peer.handshake.socket if peer.handshake else None
        if socket is not None and socket.exists():
            raise BrokenError("the socket to be taken away", f"{socket} still there")
    return f"gone after {took:.1f} s"


def _process(peer: Peer) -> AdapterProcess:
    if peer.process is None:
        raise AssertionError("a fresh adapter has a process")
    return peer.process


async def _stops_serving(peer: Peer, process: AdapterProcess) -> None:
    """Waits until health is no longer SERVING, or the process is gone."""
    deadline = time.monotonic() + _AT_ONCE.total_seconds()
    while not await process.ended(timedelta(milliseconds=20)):
        try:
            if await peer.client.health("plugin", _AT_ONCE) != "SERVING":
                return
        except (RefusedError, TimeoutError):
            return
        if time.monotonic() > deadline:
            raise BrokenError("NOT_SERVING while it drains", "SERVING 1 s after Shutdown")


@rule("E2-signals", "SIGINT is ignored: it is the host's to decide; SIGTERM ends the process within 5 s")
async def signals(bench: Bench) -> None:
    async with bench.fresh() as peer, peer.session() as session:
        process = _process(peer)
        await session.exchange()
        process.signal(signal.SIGINT)
        if await process.ended(timedelta(milliseconds=300)):
            raise BrokenError("SIGINT to be ignored", process.account())
        await session.exchange()
        process.signal(signal.SIGTERM)
        if not await process.ended(_DRAIN_LIMIT):
            raise BrokenError("SIGTERM to end the process within 5 s", process.account())


@rule("E3-host-killed", "An adapter whose host is killed is gone within 5 s")
async def host_killed(bench: Bench) -> str:
    async with bench.fresh(parent=[sys.executable, "-c", _HOST]) as peer, peer.session():
        process = _process(peer)
        begun = time.monotonic()
        os.kill(process.pid, signal.SIGKILL)
        if await process.ended(_DRAIN_LIMIT):
            return f"gone after {time.monotonic() - begun:.1f} s"
        orphan = int(await asyncio.to_thread((process.folder / "child").read_text))
        os.killpg(orphan, signal.SIGKILL)
        raise BrokenError("the adapter to end with its host", f"process {orphan} still running after 5 s")
