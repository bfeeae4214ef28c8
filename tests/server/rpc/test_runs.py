from __future__ import annotations

from typing import Any

import grpc
import pytest
from mimic.v1 import common_pb2, evaluations_pb2, sessions_pb2
from mimic.v1 import runs_pb2 as pb

from tests.server.rpc.bench import Client, refused

Code = grpc.StatusCode


async def test_a_run_is_watched_and_reported(api: Client) -> None:
    agent = await api.agent()
    for name in ("Ada", "Bob"):
        await api.persona(agent.id, name=name)
    good = await api.evaluation(agent.id)
    bad = await api.evaluation(
        agent.id, name="No echo", regex="you said", severity=evaluations_pb2.SEVERITY_HIGH
    )
    request = pb.CreateRunRequest(
        agent_id=agent.id, name=" nightly ", options=pb.RunOptions(repeats=2), request_id="r"
    )
    run = (await api.runs.CreateRun(request)).run
    assert (run.name, run.sessions_total) == ("nightly", 4)
    assert (await api.runs.CreateRun(request)).run.id == run.id
    events = [event async for event in api.runs.WatchRun(pb.WatchRunRequest(run_id=run.id))]
    assert {event.WhichOneof("event") for event in events} == {"run", "session"}
    last = events[-1].run
    assert (last.state, last.outcome) == (common_pb2.JOB_STATE_COMPLETED, pb.RUN_OUTCOME_FAILED)
    assert last.sessions_ended == 4

    report = (await api.runs.GetReport(pb.GetReportRequest(run_id=run.id))).report
    assert [summary.evaluation_id for summary in report.evaluations] == [bad.id, good.id]
    failed, passed = report.evaluations
    assert (failed.failed, failed.passed, passed.passed) == (4, 0, 4)
    assert failed.value_worst == failed.value_mean > 0
    assert failed.evidence[0].quote.startswith("you said")
    assert failed.evidence[0].verdict == evaluations_pb2.VERDICT_FAIL
    assert len({(quote.session_id, quote.seq) for quote in failed.evidence}) == len(failed.evidence) == 4
    assert {count.state: count.count for count in report.states} == {sessions_pb2.SESSION_STATE_COMPLETED: 4}
    assert report.terminations[0].count == 4
    assert report.latency_p95_ms >= report.latency_p50_ms > 0
    assert (report.turns, report.messages) == (8, 16)
    assert report.usage.calls == 8
    assert report.model == "listed"
    listing = await api.runs.ListRuns(
        pb.ListRunsRequest(agent_id=agent.id, states=[common_pb2.JOB_STATE_COMPLETED])
    )
    assert [found.id for found in listing.runs] == [run.id]


async def test_a_report_of_nothing_is_empty(api: Client) -> None:
    agent = await api.agent()
    await api.persona(agent.id)
    request = pb.CreateRunRequest(agent_id=agent.id)
    run = (await api.runs.CreateRun(request)).run
    await api.runs.CancelRun(pb.CancelRunRequest(run_id=run.id))
    async for _ in api.runs.WatchRun(pb.WatchRunRequest(run_id=run.id)):
        pass
    report = (await api.runs.GetReport(pb.GetReportRequest(run_id=run.id))).report
    assert not report.evaluations
    assert report.run.state == common_pb2.JOB_STATE_CANCELLED


@pytest.mark.parametrize(
    "fields,violated",
    [
        ({"options": pb.RunOptions(repeats=0)}, "options.repeats"),
        ({"options": pb.RunOptions(concurrency=10_001)}, "options.concurrency"),
        (
            {"options": pb.RunOptions(session=sessions_pb2.SessionOptions(max_turns=0))},
            "options.session.max_turns",
        ),
        ({"name": "x" * 201}, "name"),
        ({"persona_ids": ["x"]}, "persona_ids[0]"),
        ({"agent_id": "x"}, "agent_id"),
        ({"connection_id": "x"}, "connection_id"),
    ],
)
async def test_each_field_has_its_limits(api: Client, fields: dict[str, Any], violated: str) -> None:
    agent = await api.agent()
    await api.persona(agent.id)
    with refused(Code.INVALID_ARGUMENT, violated):
        await api.runs.CreateRun(pb.CreateRunRequest(**{"agent_id": agent.id, **fields}))


async def test_a_run_needs_someone_to_play_and_a_way_to_the_agent(api: Client) -> None:
    agent = await api.agent()
    with refused(Code.FAILED_PRECONDITION, reason="AGENT_HAS_NO_PERSONA"):
        await api.runs.CreateRun(pb.CreateRunRequest(agent_id=agent.id))
    alone = await api.agent(connected=False)
    await api.persona(alone.id)
    with refused(Code.FAILED_PRECONDITION, reason="AGENT_HAS_NO_CONNECTION"):
        await api.runs.CreateRun(pb.CreateRunRequest(agent_id=alone.id))
