from __future__ import annotations

import asyncio
import dataclasses
import itertools
import os
import sys
from pathlib import Path

import psutil
import pytest
from mimic_server.domain.adapters import AdapterLogLine, AdapterState
from mimic_server.domain.errors import FaultError, NotFoundError
from mimic_server.host import Launch, Limits, PluginHost
from mimic_server.host.backoff import CrashBudget
from mimic_server.host.pace import Pace

from tests.server.host.playground import (
    QUICK,
    ROOT,
    Chat,
    Hosts,
    connection,
    logged,
    status_of,
    until,
    write_adapters,
)


async def test_an_adapter_is_known_before_it_is_started(hosts: Hosts) -> None:
    host = hosts("good", "small")
    known = [status.channel for status in host.statuses()]
    assert {"good", "small"} <= set(known)
    assert known == sorted(known)
    status = status_of(host, "good")
    assert (status.state, status.pid, status.manifest) == (AdapterState.STOPPED, None, None)
    assert status.launched_by.endswith("/mimic-adapter-good")


async def test_the_first_use_starts_it(hosts: Hosts) -> None:
    host = hosts("good")
    manifests = await asyncio.gather(*(host.manifest("good") for _ in range(5)))
    assert len({id(manifest) for manifest in manifests}) == 1
    status = status_of(host, "good")
    assert (status.state, status.reason, status.remedy) == (AdapterState.READY, "", "")
    assert status.manifest is manifests[0]
    assert status.pid is not None
    assert psutil.Process(status.pid).ppid() == os.getpid()
    assert os.getpgid(status.pid) == status.pid


async def test_no_adapter_of_that_channel(hosts: Hosts) -> None:
    host = hosts("good")
    for wrong in ("nothing", "../good", "conformance", ""):
        with pytest.raises(NotFoundError):
            await host.manifest(wrong)
    with pytest.raises(NotFoundError):
        host.logs("nothing", follow=False)


async def test_an_adapter_installed_meanwhile_is_found(hosts: Hosts, tmp_path: Path) -> None:
    host = hosts()
    assert "good" not in [status.channel for status in host.statuses()]
    write_adapters(tmp_path, ["good"])
    assert (await host.manifest("good")).channel == "good"


async def test_the_environment_is_minimal(
    hosts: Hosts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLUGIN_MULTIPLEX_GRPC", "1")
    monkeypatch.setenv("DATABASE_URL", "postgresql://secret")
    monkeypatch.setenv("LANG", "C.UTF-8")
    monkeypatch.setenv("HOME", "/home/somebody")
    script = tmp_path / "mimic-adapter-env"
    script.write_text("#!/bin/sh\nenv >&2; pwd >&2; ls -ld . >&2; exit 5\n")
    script.chmod(0o755)
    launch = Launch(arguments=("--x",), environment={"EXTRA": "1", "PLUGIN_CLIENT_CERT": "x"})
    host = hosts(launch=launch, limits=dataclasses.replace(QUICK, crashes=1))
    with pytest.raises(FaultError, match=r"mimic-adapter-env --x` did not start: it ended with exit code 5"):
        await host.manifest("env")
    lines = [line.message async for line in host.logs("env", follow=False)]
    env = dict(line.split("=", 1) for line in lines if "=" in line)
    assert env["EXTRA"] == "1"
    assert (env["LANG"], env["HOME"]) == ("C.UTF-8", "/home/somebody")
    assert env["MIMIC_ADAPTER_COOKIE"]
    assert {name for name in env if name.startswith("PLUGIN_")} == {
        "PLUGIN_MIN_PORT",
        "PLUGIN_MAX_PORT",
        "PLUGIN_PROTOCOL_VERSIONS",
        "PLUGIN_UNIX_SOCKET_DIR",
    }
    assert "DATABASE_URL" not in env
    directory = env["PLUGIN_UNIX_SOCKET_DIR"]
    assert len(directory) < 70
    assert any(line.startswith("drwx------") for line in lines)
    assert not Path(directory).exists()  # noqa: ASYNC240 - a moment


async def test_a_command_that_cannot_be_run(hosts: Hosts, tmp_path: Path) -> None:
    script = tmp_path / "mimic-adapter-odd"
    script.write_text("#!/nowhere/python\n")
    script.chmod(0o755)
    host = hosts(limits=dataclasses.replace(QUICK, crashes=1))
    with pytest.raises(FaultError) as caught:
        await host.manifest("odd")
    assert "exit code 126" in caught.value.fault.message
    assert "No such file" in caught.value.fault.message
    assert "first line" in caught.value.fault.remedy


async def test_a_failure_leads_to_a_restart_until_the_budget_is_spent(hosts: Hosts) -> None:
    host = hosts("crash-on-start")
    with pytest.raises(FaultError) as caught:
        await host.manifest("crash-on-start")
    assert caught.value.fault.reason == "ADAPTER_DID_NOT_START"
    status = await until(host, "crash-on-start", AdapterState.FAILED_TO_STAY_RUNNING)
    assert "3 failures within 60 min" in status.reason
    assert "run `" in status.remedy
    with pytest.raises(FaultError) as caught:
        await Chat.open(host, connection("crash-on-start"))
    assert caught.value.fault.reason == "ADAPTER_NOT_RUNNING"
    assert status.restarts == 2
    # Someone acts: the budget is whole again.
    again = await host.restart("crash-on-start")
    assert again.state is AdapterState.BACKING_OFF
    again = await until(host, "crash-on-start", AdapterState.FAILED_TO_STAY_RUNNING)
    assert again.restarts == 5


async def test_one_that_was_killed_says_so(hosts: Hosts) -> None:
    host = hosts("good", limits=dataclasses.replace(QUICK, backoff_seconds=30))
    await host.start(["good"])
    pid = status_of(host, "good").pid
    assert pid is not None
    psutil.Process(pid).kill()
    status = await until(host, "good", AdapterState.BACKING_OFF)
    assert "killed by SIGKILL" in status.reason
    assert status.remedy
    # A restart does not wait for the backoff.
    assert (await host.restart("good")).state is AdapterState.READY


async def test_restart(hosts: Hosts) -> None:
    host = hosts("good")
    await host.start(["good"])
    before = status_of(host, "good")
    after = await host.restart("good")
    assert after.state is AdapterState.READY
    assert after.pid != before.pid
    assert after.restarts == 1
    assert before.pid is not None
    assert not psutil.pid_exists(before.pid)
    with pytest.raises(NotFoundError):
        await host.restart("nothing")


async def test_disable_and_enable(hosts: Hosts) -> None:
    host = hosts("good")
    await host.start(["good"])
    off = await host.set_enabled("good", enabled=False)
    assert (off.state, off.pid) == (AdapterState.DISABLED, None)
    with pytest.raises(FaultError, match="switched off"):
        await host.manifest("good")
    on = await host.set_enabled("good", enabled=True)
    assert on.state is AdapterState.READY
    assert (await host.set_enabled("good", enabled=True)).pid == on.pid


async def test_switching_while_it_starts(hosts: Hosts) -> None:
    host = hosts("good")
    starting = asyncio.create_task(host.manifest("good"))
    await until(host, "good", AdapterState.STARTING)
    assert (await host.set_enabled("good", enabled=False)).state is AdapterState.DISABLED
    with pytest.raises(FaultError):
        await starting
    left = [" ".join(child.cmdline()) for child in psutil.Process().children()]
    assert not any("hostile" in command for command in left)


async def test_close_ends_all_at_once(hosts: Hosts) -> None:
    limits = dataclasses.replace(QUICK, shutdown_seconds=0.4, terminate_seconds=0.4)
    host = hosts("good", "small", "ignore-sigterm", limits=limits)
    ours = ["good", "small", "ignore-sigterm"]
    await host.start(ours)
    pids = [status_of(host, channel).pid for channel in ours]
    closing = asyncio.gather(host.close(), host.close())
    await asyncio.wait_for(closing, 3)
    assert not any(pid is None or psutil.pid_exists(pid) for pid in pids)
    with pytest.raises(NotFoundError):
        await host.manifest("nothing")
    with pytest.raises(FaultError):
        await host.manifest("good")


async def test_lines_of_the_log_go_to_the_callback_and_to_followers(hosts: Hosts) -> None:
    lines: list[AdapterLogLine] = []
    host: PluginHost = hosts("good", on_log=lines.append)
    over = connection("good", token="s3cret-token")
    following = asyncio.create_task(logged(host, "good", "connected"))
    await host.connect(over)
    assert await following == f"connected {over.id} with [redacted]"
    assert any(line.message.startswith("connected") and line.level == "debug" for line in lines)
    assert [line.message async for line in host.logs("good", follow=False, level="info")][-1] == "READY"


async def test_what_an_adapter_in_go_prints_is_logged(hosts: Hosts) -> None:
    host = hosts("stdio")
    await host.start(["stdio"])
    assert await logged(host, "stdio", "printed") == "printed"


async def test_the_echo_example_runs_under_the_host() -> None:
    launch = Launch(environment={"MIMIC_PYTHON": sys.executable})
    async with PluginHost(directories=[ROOT / "examples/echo_adapter"], launch=launch, limits=QUICK) as host:
        chat = await Chat.open(host, connection("echo", prefix="You said: "))
        assert await chat.say("hello") == "You said: hello"
        assert await chat.say("again") == "You said: again"
        await chat.close()


def test_the_budget_is_a_sliding_window() -> None:
    now = [0.0]
    budget = CrashBudget(Limits(crashes=3, crash_window_seconds=100), clock=lambda: now[0])
    for moment in (0, 40, 101):
        now[0] = moment
        budget.failed()
    assert not budget.spent
    now[0] = 120
    budget.failed()
    assert budget.spent
    assert budget.failures == 3
    budget.renew()
    assert not budget.spent


def test_waits_double_up_to_a_bound_and_never_coincide() -> None:
    budget = CrashBudget(Limits(backoff_seconds=1, backoff_most_seconds=5))
    waits = []
    for _ in range(6):
        budget.failed()
        waits.append({budget.wait_seconds() for _ in range(50)})
    assert all(len(some) > 1 for some in waits)
    for some, middle in zip(waits, (1, 2, 4, 5, 5, 5), strict=True):
        assert all(0.5 * middle <= wait <= 1.5 * middle for wait in some)


def test_a_pace_lets_go_so_much_at_once_and_so_much_a_second() -> None:
    now = itertools.count(0, 1)
    pace = Pace(10, 20, clock=lambda: next(now) / 10)
    assert [pace.afford(1) for _ in range(20)] == [True] * 20
    assert pace.afford(1)
    assert not pace.afford(2)
    still = Pace(10, 20, clock=lambda: 0.0)
    assert still.spend(20) == 0
    assert still.spend(5) == 0.5
    still.grant(10)
    assert still.spend(5) == 0
