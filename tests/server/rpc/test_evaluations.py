from __future__ import annotations

from typing import Any
from uuid import uuid4

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from mimic.v1 import evaluations_pb2 as pb
from mimic.v1 import sessions_pb2
from mimic_server.domain.errors import FaultError

from tests.server.rpc.bench import SIMULATOR_FAULT, Bench, Client, no_apologies, refused

Code = grpc.StatusCode
CRITERIA = {"pass": "<= 100"}


def said(*lines: tuple[str, str, float | None]) -> pb.GivenTranscript:
    """A transcript of lines: who, what, when."""
    senders = {"persona": pb.SENDER_PERSONA, "agent": pb.SENDER_AGENT}
    return pb.GivenTranscript(
        messages=[pb.GivenMessage(sender=senders[who], text=text, at_ms=at) for who, text, at in lines]
    )


async def test_an_evaluation_comes_back_as_it_was_written(api: Client) -> None:
    agent = await api.agent(connected=False)
    evaluation = await api.evaluation(
        agent.id,
        severity=pb.SEVERITY_CRITICAL,
        messages=pb.WHOSE_MESSAGES_BOTH,
        aggregate=pb.AGGREGATE_MAX,
        notes="why",
        disabled=True,
    )
    assert (evaluation.metric, evaluation.method) == (pb.METRIC_COUNT, pb.METHOD_REGEX_MATCH)
    assert (evaluation.severity, evaluation.messages) == (pb.SEVERITY_CRITICAL, pb.WHOSE_MESSAGES_BOTH)
    assert (evaluation.aggregate, evaluation.disabled) == (pb.AGGREGATE_MAX, True)
    read = await api.evaluations.GetEvaluation(pb.GetEvaluationRequest(evaluation_id=evaluation.id))
    assert read.evaluation == evaluation
    plain = await api.evaluation(agent.id)
    assert (plain.severity, plain.messages) == (pb.SEVERITY_MEDIUM, pb.WHOSE_MESSAGES_AGENT)
    assert (plain.aggregate, plain.disabled) == (pb.AGGREGATE_UNSPECIFIED, False)
    listing = await api.evaluations.ListEvaluations(pb.ListEvaluationsRequest(agent_id=agent.id))
    assert list(listing.evaluations) == [plain, evaluation]


@pytest.mark.parametrize(
    "fields,violated",
    [
        ({"name": ""}, "evaluation.name"),
        ({"metric": 0}, "evaluation.metric"),
        ({"metric": 77}, "evaluation.metric"),
        ({"severity": -1}, "evaluation.severity"),
        ({"metric": pb.METRIC_LATENCY_MS}, "evaluation.metric"),
        ({"regex": "("}, "evaluation.regex"),
        ({"regex": ""}, "evaluation.regex"),
        ({"script": "x = 1"}, "evaluation.script"),
        ({"pass_criteria": pb.PassCriteria()}, "evaluation.pass_criteria"),
        ({"pass_criteria": pb.PassCriteria(fail="< low")}, "evaluation.pass_criteria.fail"),
    ],
)
async def test_each_fault_is_named_by_its_field(api: Client, fields: dict[str, Any], violated: str) -> None:
    agent = await api.agent(connected=False)
    with refused(Code.INVALID_ARGUMENT) as refusal:
        await api.evaluation(agent.id, **fields)
    assert violated in refusal.fields


async def test_only_what_the_mask_names_changes(api: Client) -> None:
    agent = await api.agent(connected=False)
    evaluation = await api.evaluation(agent.id, notes="why")

    async def update(*mask: str, **fields: Any) -> pb.Evaluation:
        change = pb.Evaluation(id=evaluation.id, **fields)
        request = pb.UpdateEvaluationRequest(evaluation=change, update_mask=FieldMask(paths=mask))
        return (await api.evaluations.UpdateEvaluation(request)).evaluation

    assert (await update(disabled=True)).disabled
    assert (await update(name="Renamed")).disabled
    assert not (await update("disabled")).disabled
    warned = await update("pass_criteria.warning", pass_criteria=pb.PassCriteria(warning="== 1"))
    assert (getattr(warned.pass_criteria, "pass"), warned.pass_criteria.warning) == ("== 0", "== 1")
    assert warned.notes == "why"
    with refused(Code.INVALID_ARGUMENT, "evaluation.regex"):
        await update(regex="(")
    with refused(Code.ABORTED):
        await update(name="x", etag=evaluation.etag)


async def test_a_given_transcript_is_judged(api: Client) -> None:
    agent = await api.agent(connected=False)
    evaluation = await api.evaluation(agent.id)
    request = pb.TestEvaluationRequest(
        evaluation_id=evaluation.id,
        transcript=said(("persona", "hi", None), ("agent", "sorry, sorry", None)),
    )
    result = (await api.evaluations.TestEvaluation(request)).result
    assert (result.status, result.verdict) == (pb.RESULT_STATUS_SCORED, pb.VERDICT_FAIL)
    assert result.value >= 1
    assert list(result.evidence) == [2]
    assert (result.id, result.session_id, result.evaluation_id) == ("", "", evaluation.id)


async def test_a_given_transcript_is_timed_where_its_times_are_told(api: Client) -> None:
    latency = pb.Evaluation(
        name="Fast",
        metric=pb.METRIC_LATENCY_MS,
        method=pb.METHOD_TIMESTAMP_DIFF,
        pass_criteria=pb.PassCriteria(**CRITERIA),
    )
    told = said(
        ("persona", "hi", 0), ("agent", "hello", 250.5), ("persona", "so", 1000), ("agent", "x", 1001)
    )
    request = pb.TestEvaluationRequest(evaluation=latency, transcript=told)
    result = (await api.evaluations.TestEvaluation(request)).result
    assert (result.value, result.verdict) == (250.5, pb.VERDICT_FAIL)
    request.transcript.CopyFrom(said(("persona", "hi", None), ("agent", "hello", None)))
    result = (await api.evaluations.TestEvaluation(request)).result
    assert result.status == pb.RESULT_STATUS_SKIPPED
    assert not result.HasField("value")


async def test_a_stored_session_is_judged(api: Client) -> None:
    agent = await api.agent()
    persona = await api.persona(agent.id)
    session = await api.sessions.CreateSession(
        sessions_pb2.CreateSessionRequest(agent_id=agent.id, persona_id=persona.id)
    )
    watch = api.sessions.WatchSession(sessions_pb2.WatchSessionRequest(session_id=session.session.id))
    async for _ in watch:
        pass
    echoes = pb.Evaluation(**{**no_apologies(), "regex": "you said"})
    request = pb.TestEvaluationRequest(evaluation=echoes, session_id=session.session.id)
    result = (await api.evaluations.TestEvaluation(request)).result
    assert (result.verdict, result.session_id) == (pb.VERDICT_FAIL, session.session.id)
    results = sessions_pb2.ListResultsRequest(session_id=session.session.id)
    assert not (await api.sessions.ListResults(results)).results


@pytest.mark.parametrize(
    "request_,violated",
    [
        (pb.TestEvaluationRequest(transcript=said(("agent", "x", None))), "evaluation"),
        (pb.TestEvaluationRequest(evaluation=pb.Evaluation(**no_apologies())), "transcript"),
        (
            pb.TestEvaluationRequest(
                evaluation=pb.Evaluation(**no_apologies()), transcript=pb.GivenTranscript()
            ),
            "transcript.messages",
        ),
        (
            pb.TestEvaluationRequest(
                evaluation=pb.Evaluation(**no_apologies()), transcript=said(*[("agent", "x", None)] * 1001)
            ),
            "transcript.messages",
        ),
        (
            pb.TestEvaluationRequest(
                evaluation=pb.Evaluation(**no_apologies()),
                transcript=said(("agent", "x", 2), ("agent", "x", 1)),
            ),
            "transcript.messages[1].at_ms",
        ),
        (
            pb.TestEvaluationRequest(
                evaluation=pb.Evaluation(**no_apologies()), transcript=said(("agent", "", float("inf")))
            ),
            "transcript.messages[0].text",
        ),
        (
            pb.TestEvaluationRequest(
                evaluation=pb.Evaluation(**no_apologies()),
                transcript=pb.GivenTranscript(messages=[pb.GivenMessage(text="x")]),
            ),
            "transcript.messages[0].sender",
        ),
        (pb.TestEvaluationRequest(evaluation=pb.Evaluation(name="x"), session_id="x"), "evaluation.metric"),
    ],
)
async def test_a_trial_that_cannot_be_made(
    api: Client, request_: pb.TestEvaluationRequest, violated: str
) -> None:
    with refused(Code.INVALID_ARGUMENT) as refusal:
        await api.evaluations.TestEvaluation(request_)
    assert refusal.fields[0] == violated


async def test_a_trial_of_what_is_not_there(api: Client) -> None:
    evaluation = pb.Evaluation(**no_apologies())
    with refused(Code.NOT_FOUND, reason="SESSION_NOT_FOUND"):
        await api.evaluations.TestEvaluation(
            pb.TestEvaluationRequest(evaluation=evaluation, session_id=str(uuid4()))
        )
    with refused(Code.NOT_FOUND, reason="EVALUATION_NOT_FOUND"):
        await api.evaluations.TestEvaluation(
            pb.TestEvaluationRequest(evaluation_id=str(uuid4()), transcript=said(("agent", "x", None)))
        )


async def test_drafts_can_be_stored_as_they_are(api: Client, bench: Bench) -> None:
    agent = await api.agent(connected=False)
    drafted = await api.evaluations.GenerateEvaluations(
        pb.GenerateEvaluationsRequest(agent_id=agent.id, count=2)
    )
    assert [e.name for e in drafted.evaluations] == ["Check 0", "Check 1"]
    assert drafted.usage.calls == 1
    await api.evaluations.CreateEvaluation(pb.CreateEvaluationRequest(evaluation=drafted.evaluations[0]))
    await api.evaluations.GenerateEvaluations(pb.GenerateEvaluationsRequest(agent_id=agent.id))
    assert bench.model.tasks[-1].drafted_names == ("Check 0",)
    bench.model._answers = lambda _: FaultError(SIMULATOR_FAULT)
    with refused(Code.FAILED_PRECONDITION, reason="MODEL_UNAVAILABLE"):
        await api.evaluations.GenerateEvaluations(pb.GenerateEvaluationsRequest(agent_id=agent.id))


async def test_a_deleted_evaluation_is_gone(api: Client) -> None:
    agent = await api.agent(connected=False)
    evaluation = await api.evaluation(agent.id)
    await api.evaluations.DeleteEvaluation(pb.DeleteEvaluationRequest(evaluation_id=evaluation.id))
    with refused(Code.NOT_FOUND):
        await api.evaluations.GetEvaluation(pb.GetEvaluationRequest(evaluation_id=evaluation.id))
