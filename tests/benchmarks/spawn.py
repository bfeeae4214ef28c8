"""An adapter from its spawn to its readiness, beside `python -c "import grpc.aio"`."""

from __future__ import annotations

import asyncio
import os
import resource
import subprocess
import sys
from collections.abc import Sequence

import psutil
from mimic_server.host.host import PluginHost

from tests.benchmarks.hop import ECHO
from tests.benchmarks.measure import Figure

ROUNDS = 5


async def measure() -> Sequence[Figure]:
    """The cheapest of some rounds of each."""
    floors, values = [], []
    for _ in range(ROUNDS):
        floors.append(await asyncio.to_thread(_import))
        values.append(await _spawn())
    detail = f"CPU of the echo adapter; {ROUNDS} rounds"
    return [Figure("adapter_spawn", "ms CPU", min(values) * 1e3, min(floors) * 1e3, 3.0, detail)]


def _import() -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", "import grpc.aio"], check=True, env=dict(os.environ))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


async def _spawn() -> float:
    async with PluginHost(directories=[ECHO]) as host:
        await host.manifest("echo")
        pid = next(status.pid for status in host.statuses() if status.channel == "echo")
        assert pid is not None
        times = psutil.Process(pid).cpu_times()
        return float(times.user + times.system)
