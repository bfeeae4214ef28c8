"""Processes die in the middle; what was acknowledged stays, and nothing is sent twice."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from mimic.v1 import adapters_pb2, evaluations_pb2, sessions_pb2

from tests.support.agents import SupportAgent, support_agent
from tests.support.mimic import Api, api, mimic_server, start

SESSIONS = 50
DEADLINE_SECONDS = 90

GOALS = ("Find out where order 10482 is", "Change the delivery address", "Find out when the shop is open")
BACKGROUND = "She ordered a tent, order number 10482, two weeks ago. Her new address is 5 Mill Lane, Bristol."


async def heard(agent: SupportAgent, enough: Callable[[int], bool]) -> None:
    """Waits until the agent's own log has so many messages."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not enough(len(agent.received())):  # noqa: ASYNC110 - the log is a file
            await asyncio.sleep(0.02)


async def begin(mimic: Api, agent: SupportAgent, sessions: int) -> str:
    """Begins a run against the agent."""
    made = await mimic.agent("support", "rest", url=f"{agent.url}/chat")
    await mimic.persona(made.id, *GOALS, background=BACKGROUND)
    return (await mimic.run(made.id, sessions, max_turns=8)).id


async def check(mimic: Api, agent: SupportAgent, run_id: str) -> list[sessions_pb2.Session]:
    """Every session completed; the journal and the agent's log agree; nothing was sent twice."""
    sessions = await mimic.sessions_of(run_id)
    assert {s.state for s in sessions} == {sessions_pb2.SESSION_STATE_COMPLETED}
    log = agent.received()
    sent = Counter(entry.header_message_id for entry in log)
    assert max(sent.values()) == 1
    journalled: set[str] = set()
    for session in sessions:
        messages = await mimic.messages(session.id)
        assert [m.seq for m in messages] == list(range(1, len(messages) + 1))
        said = [m for m in messages if m.sender == evaluations_pb2.SENDER_PERSONA]
        journalled.update(m.id for m in said)
        for message in said:
            if message.receipt:
                assert sent[message.id] == 1, f"the agent never got message {message.id}"
        last = [m for m in messages if m.attempt == len(session.attempts)]
        assert last[-1].sender == evaluations_pb2.SENDER_AGENT
        for attempt, following in zip(session.attempts, session.attempts[1:], strict=False):
            assert attempt.HasField("fault")
            assert attempt.note
            assert following.note
    assert set(sent) <= journalled, "the agent got what the journal does not have"
    return sessions


@pytest.mark.timeout(180)
async def test_the_server_is_killed_in_the_middle_of_50_sessions(tmp_path: Path) -> None:
    async with support_agent(slow_ms=300, log=tmp_path / "agent.log") as agent:
        server = await start(tmp_path / "data")
        async with api(server) as mimic:
            run_id = await begin(mimic, agent, SESSIONS)
            await heard(agent, lambda count: count > 2 * SESSIONS)
        await server.kill()
        acknowledged = len(agent.received())
        async with mimic_server(tmp_path / "data") as again, api(again) as mimic:
            async with asyncio.timeout(DEADLINE_SECONDS):
                await mimic.ended(run_id)
            sessions = await check(mimic, agent, run_id)
            assert len(agent.received()) > acknowledged
            assert len(sessions) == SESSIONS


@pytest.mark.timeout(180)
async def test_a_stopped_server_leaves_its_sessions_to_the_next(tmp_path: Path) -> None:
    async with support_agent(slow_ms=300, log=tmp_path / "agent.log") as agent:
        server = await start(tmp_path / "data")
        async with api(server) as mimic:
            run_id = await begin(mimic, agent, 10)
            await heard(agent, lambda count: count > 15)
        assert await server.stop() == 0
        async with mimic_server(tmp_path / "data") as again, api(again) as mimic:
            async with asyncio.timeout(DEADLINE_SECONDS):
                await mimic.ended(run_id)
            await check(mimic, agent, run_id)


@pytest.mark.timeout(180)
async def test_an_adapter_is_killed_and_the_others_never_notice(tmp_path: Path) -> None:
    path = {"MIMIC_ADAPTER_PATH": str(Path(__file__).parents[2] / "examples" / "echo_adapter")}
    async with (
        support_agent(slow_ms=300, log=tmp_path / "agent.log") as agent,
        mimic_server(tmp_path / "data", path) as server,
        api(server) as mimic,
    ):
        other = await mimic.agent("echo", "echo")
        await mimic.persona(other.id, *GOALS)
        run_id = await begin(mimic, agent, 10)
        other_run = (await mimic.run(other.id, 10, max_turns=8)).id
        await heard(agent, lambda count: count > 15)
        adapter = (
            await mimic.call(mimic.adapters.GetAdapter, adapters_pb2.GetAdapterRequest(channel="rest"))
        ).adapter
        psutil.Process(adapter.pid).kill()
        async with asyncio.timeout(DEADLINE_SECONDS):
            await mimic.ended(run_id)
            await mimic.ended(other_run)
        await check(mimic, agent, run_id)
        for session in await mimic.sessions_of(other_run):
            assert session.state == sessions_pb2.SESSION_STATE_COMPLETED
            assert len(session.attempts) == 1
            assert session.attempts[0].resumptions == 0
        again = await mimic.call(mimic.adapters.GetAdapter, adapters_pb2.GetAdapterRequest(channel="rest"))
        assert again.adapter.pid != adapter.pid
        assert again.adapter.restarts == 1
