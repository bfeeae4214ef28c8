"""What the rules stand on: agents, adapters that come back, the order in which they start."""

import asyncio
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from mimic_plugin_sdk.testing import AgentProcess, Received, RunningAgent, Subject
from mimic_plugin_sdk.testing._bench import Bench
from mimic_plugin_sdk.testing._rule import NotGivenError

from tests.conformance.subjects import agent, broken


class _Settled:
    """An agent that only notes with what it was started."""

    after_connect = True

    def __init__(self) -> None:
        self.told: list[Mapping[str, str]] = []
        self.info: Mapping[str, Any] = {}

    def start(self, agent_settings: Mapping[str, str]) -> RunningAgent:
        self.told.append(agent_settings)
        return self

    def received(self) -> Sequence[Received]:
        return [Received("hello"), Received("hello you")]

    def kill(self) -> None:
        pass


async def test_an_agent_of_an_emulator_starts_with_what_connect_told(tmp_path: Path) -> None:
    started_after = _Settled()
    subject = broken("none", tmp_path)
    settings = {"address": "127.0.0.1:1", "token": "any"}
    bench = Bench(Subject(command=subject.command, env=subject.env, agent=started_after, settings=settings))
    try:
        peer = await bench.shared()
    finally:
        await bench.close()
    assert started_after.told == [{"BROKEN_GREETING": "hello"}]
    assert await peer.received("hello", by="you") == 2
    assert await peer.received("hello you", by="you") == 1


async def test_an_adapter_that_a_rule_ended_is_launched_again(tmp_path: Path) -> None:
    bench = Bench(broken("none", tmp_path))
    try:
        first = await bench.shared()
        assert await bench.shared() is first
        assert first.process is not None
        await first.process.kill()
        second = await bench.shared()
        assert await second.client.health("plugin") == "SERVING"
        assert second.agent is first.agent
    finally:
        await bench.close()


async def test_nothing_that_a_run_started_is_left(tmp_path: Path) -> None:
    bench = Bench(broken("none", tmp_path))
    try:
        peer = await bench.shared()
        async with bench.fresh(own_agent=True) as fresh, fresh.session() as session:
            await session.exchange()
            assert fresh.agent is not peer.agent
    finally:
        await bench.close()
    assert all(process.exit_code is not None for process in bench.processes)
    assert not any(process.folder.exists() for process in bench.processes)


async def test_settings_made_from_an_agent_need_one_that_starts_first(tmp_path: Path) -> None:
    subject = broken("none", tmp_path)
    bench = Bench(Subject(command=subject.command, env=subject.env, settings=lambda running: running.info))
    try:
        with pytest.raises(NotGivenError):
            await bench.shared()
    finally:
        await bench.close()


def test_an_agent_tells_how_to_reach_it_and_what_it_received() -> None:
    running = agent().start({})
    try:
        assert set(running.info) == {"address", "token"}
        assert running.received() == ()
    finally:
        running.kill()
        running.kill()


def test_an_agent_that_tells_no_json_object_is_an_error_with_its_exit_code() -> None:
    quick = AgentProcess([sys.executable, "-c", "print('serving'); raise SystemExit(3)"])
    with pytest.raises(RuntimeError, match=r"'serving\\n' \(exit code 3\)"):
        quick.start({})


def test_a_run_works_in_a_loop_of_its_own(tmp_path: Path) -> None:
    async def shared() -> None:
        bench = Bench(broken("none", tmp_path))
        await bench.shared()
        await bench.close()

    for _ in range(2):
        asyncio.run(shared())
