"""Sessions over the API: watched, taken over, cancelled, evaluated again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from mimic.v1 import evaluations_pb2, sessions_pb2

from tests.support.agents import support_agent
from tests.support.mimic import Api, api, mimic_server
from tests.support.processes import ROOT

ECHO = {"MIMIC_ADAPTER_PATH": str(ROOT / "examples" / "echo_adapter")}
GOALS = ("Find out where order 10482 is", "Find out when the shop is open", "Change the delivery address")


@pytest.fixture
async def mimic(tmp_path: Path) -> AsyncIterator[Api]:
    async with mimic_server(tmp_path / "data", ECHO) as server, api(server) as made:
        yield made


async def created(mimic: Api, agent_id: str, **fields: Any) -> sessions_pb2.Session:
    persona = await mimic.persona(agent_id, *GOALS, background="The order number is 10482.")
    request = sessions_pb2.CreateSessionRequest(agent_id=agent_id, persona_id=persona.id, **fields)
    session: sessions_pb2.Session = (await mimic.call(mimic.sessions.CreateSession, request)).session
    return session


async def watched(mimic: Api, session_id: str, after: int = 0) -> list[sessions_pb2.WatchSessionResponse]:
    request = sessions_pb2.WatchSessionRequest(session_id=session_id, after_seq=after)
    return [event async for event in mimic.stream(mimic.sessions.WatchSession, request)]


async def test_a_watcher_sees_everything_in_order_and_one_that_comes_back_misses_nothing(mimic: Api) -> None:
    agent = await mimic.agent("echo", "echo")
    session = await created(mimic, agent.id)
    events = await watched(mimic, session.id)
    seqs = [event.seq for event in events if event.seq]
    assert seqs == sorted(set(seqs))
    assert events[-1].session.state == sessions_pb2.SESSION_STATE_COMPLETED
    stored = {m.seq for m in await mimic.messages(session.id)}
    assert {e.message.seq for e in events if e.HasField("message")} == stored
    changed_last = {e.message.seq: e.seq for e in events if e.HasField("message")}
    for after in (0, seqs[len(seqs) // 2], seqs[-1]):
        again = await watched(mimic, session.id, after)
        assert {e.message.seq for e in again if e.HasField("message")} == {
            message for message, seq in changed_last.items() if seq > after
        }
        assert all(e.seq > after for e in again)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await watched(mimic, session.id, seqs[-1] + 1)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_many_watchers_see_the_same(mimic: Api) -> None:
    agent = await mimic.agent("echo", "echo")
    session = await created(mimic, agent.id)
    seen = await asyncio.gather(*(watched(mimic, session.id) for _ in range(20)))
    assert {events[-1].session.state for events in seen} == {sessions_pb2.SESSION_STATE_COMPLETED}
    count = len(await mimic.messages(session.id))
    assert {len({e.message.seq for e in events if e.HasField("message")}) for events in seen} == {count}


async def test_a_person_plays_the_persona_and_hands_it_back(mimic: Api) -> None:
    agent = await mimic.agent("echo", "echo", prefix="I heard: ")
    session = await created(mimic, agent.id, human_control=True)
    watching = asyncio.create_task(watched(mimic, session.id))
    said = sessions_pb2.SendMessageRequest(session_id=session.id, text="I am a person", request_id="r1")
    first = (await mimic.call(mimic.sessions.SendMessage, said)).message
    again = (await mimic.call(mimic.sessions.SendMessage, said)).message
    assert again.id == first.id
    given = await mimic.call(mimic.sessions.HandBack, sessions_pb2.HandBackRequest(session_id=session.id))
    assert not given.session.human_control
    events = await watching
    assert events[-1].session.state == sessions_pb2.SESSION_STATE_COMPLETED
    texts = [m.text for m in await mimic.messages(session.id)]
    assert texts[:2] == ["I am a person", "I heard: I am a person"]
    assert texts.count("I am a person") == 1
    assert len(texts) > 2


async def test_a_session_is_cancelled_at_once_and_stays_so(mimic: Api, tmp_path: Path) -> None:
    async with support_agent(delay_ms=60_000, log=tmp_path / "agent.log") as slow:
        agent = await mimic.agent("slow", "rest", url=f"{slow.url}/chat")
        session = await created(mimic, agent.id)
        cancel = sessions_pb2.CancelSessionRequest(session_id=session.id)
        request = sessions_pb2.WatchSessionRequest(session_id=session.id)
        async with asyncio.timeout(30):
            async for event in mimic.stream(mimic.sessions.WatchSession, request):
                if event.HasField("message"):
                    await mimic.call(mimic.sessions.CancelSession, cancel)
                if event.session.state == sessions_pb2.SESSION_STATE_CANCELLED:
                    break
    get = sessions_pb2.GetSessionRequest(session_id=session.id)
    found = (await mimic.call(mimic.sessions.GetSession, get)).session
    assert found.termination_reason == sessions_pb2.TERMINATION_REASON_CANCELLED
    again = (await mimic.call(mimic.sessions.CancelSession, cancel)).session
    assert again.state == sessions_pb2.SESSION_STATE_CANCELLED


async def test_a_session_is_evaluated_and_again_on_demand(mimic: Api) -> None:
    agent = await mimic.agent("echo", "echo")
    evaluation = evaluations_pb2.Evaluation(
        agent_id=agent.id,
        name="never mentions orders",
        metric=evaluations_pb2.METRIC_COUNT,
        method=evaluations_pb2.METHOD_REGEX_MATCH,
        regex="order",
    )
    setattr(evaluation.pass_criteria, "pass", "== 0")
    request = evaluations_pb2.CreateEvaluationRequest(evaluation=evaluation)
    await mimic.call(mimic.evaluations.CreateEvaluation, request)
    session = await created(mimic, agent.id)
    events = await watched(mimic, session.id)
    results = [event.result for event in events if event.HasField("result")]
    assert [r.verdict for r in results] == [evaluations_pb2.VERDICT_FAIL]
    messages = {m.seq: m.text for m in await mimic.messages(session.id)}
    assert all("order" in messages[seq] for seq in results[0].evidence)
    evaluate = sessions_pb2.EvaluateSessionRequest(session_id=session.id)
    again = (await mimic.call(mimic.sessions.EvaluateSession, evaluate)).results
    assert [r.verdict for r in again] == [evaluations_pb2.VERDICT_FAIL]
    listing = sessions_pb2.ListResultsRequest(session_id=session.id)
    listed = (await mimic.call(mimic.sessions.ListResults, listing)).results
    assert [r.id for r in listed] == [r.id for r in again], "new results replace the old"


async def test_both_sides_payloads_are_kept_where_asked_for(mimic: Api, tmp_path: Path) -> None:
    options = sessions_pb2.SessionOptions(capture_raw=True, max_turns=2)
    async with support_agent(log=tmp_path / "agent.log") as helpful:
        agent = await mimic.agent("support", "rest", url=f"{helpful.url}/chat")
        session = await created(mimic, agent.id, options=options)
        await watched(mimic, session.id)
        request = sessions_pb2.ListRawPayloadsRequest(session_id=session.id)
        payloads = (await mimic.call(mimic.sessions.ListRawPayloads, request)).payloads
        assert len(payloads) >= 4
        assert any("order" in payload.payload for payload in payloads)
