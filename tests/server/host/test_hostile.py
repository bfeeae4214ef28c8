"""No adapter can hang, crash or starve the host, nor another adapter's conversations."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import re
import shutil
import signal
import sys
import time
from pathlib import Path

import psutil
import pytest
from mimic_server.domain.adapters import AdapterState
from mimic_server.domain.errors import FaultError
from mimic_server.domain.faults import FaultSource
from mimic_server.domain.ports import ConversationLost
from mimic_server.host import Launch, PluginHost

from tests.server.host.playground import (
    DEADLINE_SECONDS,
    QUICK,
    Chat,
    Hosts,
    connection,
    logged,
    neighbour,
    status_of,
    until,
)

HANGS = frozenset({"silent", "deaf", "hang-manifest"})


@pytest.mark.parametrize(
    "behaviour,reason",
    [
        ("silent", "did not say within 1 s where it listens"),
        ("shout", "no handshake: 'xxx"),
        ("mumble", "no handshake: 'Welcome to my adapter!'"),
        ("crash-on-start", "exit code 3; its last log lines: the licence has expired"),
        ("garbage", "cannot be reached"),
        ("deaf", "did not serve within 1 s|health check"),
        ("hang-manifest", "did not serve within 1 s|manifest"),
        ("other-channel", "serves the channel 'other'"),
        ("bad-schema", "settings schema is no JSON object"),
    ],
)
async def test_an_adapter_that_does_not_start_says_why_and_harms_nobody(
    hosts: Hosts, behaviour: str, reason: str
) -> None:
    start_seconds = 1.0 if behaviour in HANGS else QUICK.start_seconds
    host = hosts(behaviour, limits=dataclasses.replace(QUICK, start_seconds=start_seconds, crashes=1))
    async with neighbour(hosts("good"), connection("good")):
        with pytest.raises(FaultError) as caught:
            await host.manifest(behaviour)
    fault = caught.value.fault
    assert fault.source is FaultSource.ADAPTER
    assert f"mimic-adapter-{behaviour}" in fault.message
    assert re.search(reason, fault.message)
    assert fault.remedy
    status = status_of(host, behaviour)
    assert status.state is AdapterState.FAILED_TO_STAY_RUNNING
    assert (status.pid, status.manifest) == (None, None)


async def test_calls_that_hang_are_given_up(hosts: Hosts) -> None:
    host = hosts("good", limits=dataclasses.replace(QUICK, call_seconds=1, open_seconds=0.3))
    over = connection("good")
    await host.connect(over)
    async with neighbour(hosts("good"), connection("good")):
        with pytest.raises(FaultError) as caught:
            await host.connect(connection("good", answer="hang"))
        assert caught.value.fault.reason == "ADAPTER_TIMEOUT"
        with pytest.raises(FaultError) as caught:
            await Chat.open(host, over, "hang")
        assert caught.value.fault.reason == "ADAPTER_TIMEOUT"


async def test_an_adapter_that_blocks_is_found_by_its_pulse_and_replaced(hosts: Hosts) -> None:
    limits = dataclasses.replace(QUICK, ping_every_seconds=0.2, ping_answer_seconds=0.3)
    host = hosts("good", "small", limits=limits)
    stuck = await Chat.open(host, connection("small"))
    pid = status_of(host, "small").pid
    async with neighbour(host, connection("good")):
        stuck.send("block")
        error = await stuck.end()
        assert isinstance(error, ConversationLost)
        assert "health check" in error.reason
        await until(host, "small", AdapterState.READY)
    assert status_of(host, "small").pid != pid


@pytest.mark.parametrize("behaviour", ["flood-stdout", "flood-stderr"])
async def test_a_flood_of_output_starves_nobody(hosts: Hosts, behaviour: str) -> None:
    host = hosts("good", behaviour)
    flooder = await Chat.open(host, connection(behaviour))
    began = time.process_time(), time.perf_counter()
    async with neighbour(host, connection("good")):
        for number in range(20):
            assert await flooder.say(f"still here {number}") == f"still here {number}"
        if behaviour == "flood-stderr":
            assert int((await logged(host, behaviour, "lines dropped")).split()[0]) > 1000
    cpu, wall = time.process_time() - began[0], time.perf_counter() - began[1]
    assert cpu < wall
    lines = [line async for line in host.logs(behaviour, follow=False)]
    assert len(lines) <= QUICK.log_ring_lines
    await host.close()


async def test_memory_can_be_limited(hosts: Hosts) -> None:
    two_gib = Launch(memory_limit_bytes=2 * 1024**3)
    host = hosts("good", "small", launch_by_channel={"small": two_gib})
    eater = await Chat.open(host, connection("small"))
    async with neighbour(host, connection("good")):
        eater.send("eat-memory")
        error = await eater.end()
    assert isinstance(error, FaultError | ConversationLost)


async def test_a_crash_takes_nobody_along(hosts: Hosts) -> None:
    host = hosts("good", "small")
    over = connection("small")
    async with neighbour(host, connection("good")):
        for _ in range(2):
            chat = await Chat.open(host, over)
            chat.send("crash")
            error = await chat.end()
            assert isinstance(error, ConversationLost)
        chat = await Chat.open(host, over)
        assert await chat.say("hello") == "hello"
    assert status_of(host, "small").restarts == 2


async def test_one_that_crashes_again_and_again_is_left_alone(hosts: Hosts) -> None:
    host = hosts("good", "crash-soon", launch=Launch(environment={"HOSTILE_CRASH_SECONDS": "0.05"}))
    async with neighbour(host, connection("good")):
        await host.start(["crash-soon"])
        status = await until(host, "crash-soon", AdapterState.FAILED_TO_STAY_RUNNING)
    assert "3 failures within 60 min" in status.reason
    assert "exit code 7" in status.reason
    assert status.restarts == 2


@pytest.mark.parametrize("behaviour", ["hang-shutdown", "ignore-sigterm"])
async def test_one_that_does_not_end_is_ended(hosts: Hosts, behaviour: str) -> None:
    never = behaviour == "ignore-sigterm"
    limits = dataclasses.replace(QUICK, shutdown_seconds=0.2, terminate_seconds=0.2 if never else 10)
    host = hosts(behaviour, limits=limits)
    await host.start([behaviour])
    pid = status_of(host, behaviour).pid
    assert pid is not None
    await asyncio.wait_for(host.close(), DEADLINE_SECONDS)
    assert not psutil.pid_exists(pid)
    said = [line.message async for line in host.logs(behaviour, follow=False)]
    assert any("SIGKILL" in line for line in said) == never


async def test_nothing_that_an_adapter_started_outlives_it(hosts: Hosts) -> None:
    host = hosts("grandchild")
    await host.start(["grandchild"])
    pid = int((await logged(host, "grandchild", "grandchild ")).split()[1])
    assert psutil.pid_exists(pid)
    await host.close()
    await gone(pid)


async def test_nothing_that_an_adapter_started_outlives_its_crash(hosts: Hosts) -> None:
    host = hosts("grandchild")
    chat = await Chat.open(host, connection("grandchild"))
    pid = int((await logged(host, "grandchild", "grandchild ")).split()[1])
    chat.send("crash")
    await chat.end()
    await gone(pid)


async def test_one_that_leaves_its_group_is_ended_too(hosts: Hosts) -> None:
    limits = dataclasses.replace(QUICK, shutdown_seconds=0.2, terminate_seconds=0.2)
    host = hosts("leave-group", limits=limits)
    await host.start(["leave-group"])
    pid = status_of(host, "leave-group").pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    await host.close()
    assert not psutil.pid_exists(pid)


async def test_no_adapter_outlives_a_host_that_is_killed(hosts: Hosts) -> None:
    host: PluginHost = hosts("ignore-sigterm")
    found = status_of(host, "ignore-sigterm").launched_by
    code = f"""
import asyncio, pathlib
from mimic_server.host import PluginHost
async def main():
    host = PluginHost(directories=[pathlib.Path({found!r}).parent], search_path="")
    await host.start(["ignore-sigterm"])
    print(next(s.pid for s in host.statuses() if s.channel == "ignore-sigterm"), flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    assert process.stdout is not None
    pid = int(await process.stdout.readline())
    left_behind = Path(f"/proc/{pid}/cwd").resolve()  # noqa: ASYNC240 - a moment
    process.kill()
    await process.wait()
    process._transport.close()  # type: ignore[attr-defined]
    await gone(pid)
    # Nobody is left to tidy up.
    assert left_behind.name.startswith("mimic-")
    shutil.rmtree(left_behind)


async def gone(pid: int) -> None:
    """Waits until a process is gone, or only its parent's to reap."""
    try:
        process = psutil.Process(pid)
        if process.status() != psutil.STATUS_ZOMBIE:
            await asyncio.to_thread(psutil.wait_procs, [process], 5)
        assert not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        pass
