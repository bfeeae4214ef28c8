from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from mimic_server.domain.evaluations import (
    EvaluationResult,
    Judgement,
    Method,
    Metric,
    ResultStatus,
    Severity,
    Verdict,
)
from mimic_server.domain.faults import Fault, FaultSource
from mimic_server.domain.ids import (
    AgentId,
    ConnectionId,
    EvaluationId,
    MessageId,
    PersonaId,
    ResultId,
    RunId,
    SessionId,
    TeamId,
    new_uuid,
)
from mimic_server.domain.messages import Message, Sender, Text, Usage
from mimic_server.domain.personas import PersonaSpec
from mimic_server.domain.runs import EvaluationSummary, JobState, Run, RunOptions, RunReport
from mimic_server.domain.sessions import Session, SessionOptions, SessionState, TerminationReason
from mimic_server.services.clock import utc_now
from mimic_server.services.reports import MAX_EVIDENCE, build_report, quoted

NOW = utc_now()
TEAM, AGENT, CONNECTION = TeamId(new_uuid()), AgentId(new_uuid()), ConnectionId(new_uuid())
RUN = Run(RunId(new_uuid()), TEAM, AGENT, CONNECTION, (), (), RunOptions(), JobState.COMPLETED, NOW, NOW)
FIRST, SECOND = EvaluationId(UUID(int=1)), EvaluationId(UUID(int=2))
PASS, WARNING, FAIL = Verdict.PASS, Verdict.WARNING, Verdict.FAIL


def session(**fields: Any) -> Session:
    made = Session(
        SessionId(new_uuid()),
        TEAM,
        AGENT,
        CONNECTION,
        PersonaId(new_uuid()),
        PersonaSpec(name="Ada", goals=("g",)),
        SessionOptions(),
        SessionState.COMPLETED,
        NOW,
        NOW,
        model="scripted",
        turns=2,
        message_count=5,
        usage=Usage(10, 1, 0, 1),
        termination=TerminationReason.GOALS_REACHED,
    )
    return replace(made, **fields)


def result(
    value: float | None,
    verdict: Verdict | None,
    *,
    evaluation: EvaluationId = FIRST,
    metric: Metric = Metric.LATENCY_MS,
    **fields: Any,
) -> EvaluationResult:
    status = ResultStatus.SCORED if verdict else ResultStatus.ERROR
    made = EvaluationResult(
        ResultId(new_uuid()),
        TEAM,
        SessionId(new_uuid()),
        evaluation,
        "Fast",
        metric,
        Method.TIMESTAMP_DIFF,
        Severity.MEDIUM,
        Judgement(status, value, verdict, f"it is {value}", (3, 1) if verdict else ()),
        1,
        NOW,
    )
    return replace(made, **fields)


def said(session_id: SessionId, seq: int, text: str) -> Message:
    return Message(session_id, seq, 1, MessageId("m"), 1, 1, Sender.AGENT, (Text(text),), NOW)


def report(results: Sequence[EvaluationResult], sessions: Sequence[Session] = ()) -> RunReport:
    messages = {
        (r.session_id, seq): Message(
            r.session_id,
            seq,
            1,
            MessageId("m"),
            1,
            1,
            Sender.AGENT,
            (Text(f"value {r.judgement.value}"),),
            NOW,
        )
        for r in results
        for seq in r.judgement.evidence
    }
    wanted = quoted(results)
    return build_report(RUN, sessions, results, {key: messages[key] for key in wanted}, ())


def summary(*results: EvaluationResult) -> EvaluationSummary:
    (only,) = report(results).evaluations
    return only


def test_sessions_are_summed_up() -> None:
    fault = Fault(FaultSource.CHANNEL, "GONE", "gone")
    sessions = [
        session(),
        session(termination=TerminationReason.MAX_TURNS, model="other"),
        session(state=SessionState.FAILED, fault=fault, termination=TerminationReason.FAULT),
        session(state=SessionState.RUNNING, termination=None, model=""),
    ]
    judged = result(1, PASS)
    judged = replace(judged, judgement=replace(judged.judgement, usage=Usage(5, 1, 0, 1)))
    found = build_report(RUN, sessions, [judged], {}, [30.0, 10.0, 20.0, 400.0])
    assert found.sessions_by_state == {
        SessionState.COMPLETED: 2,
        SessionState.FAILED: 1,
        SessionState.RUNNING: 1,
    }
    assert found.terminations[TerminationReason.MAX_TURNS] == 1
    assert found.faults == {FaultSource.CHANNEL: 1}
    assert (found.latency_p50_ms, found.latency_p95_ms) == (20.0, 400.0)
    assert (found.turns, found.messages) == (8, 20)
    assert found.usage == Usage(45, 5, 0, 5)
    assert found.model == "other, scripted"


def test_nothing_found_is_none_not_zero() -> None:
    found = report([])
    assert (found.latency_p50_ms, found.latency_p95_ms, found.evaluations) == (None, None, ())
    skipped = result(None, None)
    skipped = replace(skipped, judgement=replace(skipped.judgement, status=ResultStatus.SKIPPED))
    only = summary(result(None, None), skipped)
    assert (only.errors, only.skipped, only.passed, only.failed) == (1, 1, 0, 0)
    assert (only.value_mean, only.value_worst) == (None, None)
    assert summary(skipped).evidence == ()


def test_verdicts_are_counted_and_values_averaged() -> None:
    only = summary(result(100, PASS), result(300, WARNING), result(800, FAIL), result(None, None))
    assert (only.passed, only.warned, only.failed, only.errors) == (1, 1, 1, 1)
    assert (only.value_mean, only.value_worst) == (400, 800)


@pytest.mark.parametrize(
    "metric,values,worst",
    [
        (Metric.LATENCY_MS, [(100, PASS), (200, PASS)], 200),
        (Metric.SENTIMENT_SCORE, [(0.9, PASS), (0.2, PASS)], 0.2),
        (Metric.SENTIMENT_SCORE, [(0.9, PASS), (-0.5, FAIL), (0.1, WARNING)], -0.5),
        (Metric.ACCURACY_PERCENTAGE, [(10, FAIL), (50, FAIL)], 10),
        (Metric.COUNT, [(3, FAIL), (9, FAIL)], 9),
        # At least three are wanted: few are bad.
        (Metric.COUNT, [(3, PASS), (0, FAIL), (2, FAIL)], 0),
        # Neither too few nor too many are wanted.
        (Metric.COUNT, [(3, PASS), (4, PASS), (0, FAIL), (9, FAIL)], 9),
        # "false" is wanted.
        (Metric.BOOLEAN, [(0, PASS), (1, FAIL)], 1),
        # A warning is never worse than a failure.
        (Metric.LATENCY_MS, [(1, PASS), (900, WARNING), (500, FAIL)], 500),
    ],
)
def test_the_worst_value_is_the_farthest_from_a_pass(
    metric: Metric, values: list[tuple[float, Verdict]], worst: float
) -> None:
    results = [result(value, verdict, metric=metric) for value, verdict in values]
    assert summary(*results).value_worst == worst


def test_failures_are_quoted_first_and_one_that_passed_last() -> None:
    results = [result(1, PASS), result(2, PASS), result(50, WARNING)]
    results += [result(100 * index, FAIL) for index in range(1, 9)]
    evidence = summary(*results).evidence
    assert len(evidence) == MAX_EVIDENCE
    assert [quote.verdict for quote in evidence] == [FAIL, FAIL, FAIL, FAIL, PASS]
    assert [quote.quote for quote in evidence[:2]] == ["value 800", "value 700"]
    assert evidence[0].explanation == "it is 800"
    assert {quote.seq for quote in evidence} == {3}


def test_a_long_quote_is_cut_and_a_missing_one_left_out() -> None:
    failed, unknown = result(1, FAIL), result(2, FAIL)
    long = Message(failed.session_id, 3, 1, MessageId("m"), 1, 1, Sender.AGENT, (Text("x" * 501),), NOW)
    found = build_report(RUN, [], [failed, unknown], {(failed.session_id, 3): long}, ())
    (quote,) = found.evaluations[0].evidence
    assert quote.quote == "x" * 499 + "…"


def test_the_worst_evaluation_comes_first() -> None:
    results = [
        result(1, FAIL, evaluation=EvaluationId(UUID(int=9)), severity=Severity.LOW),
        result(1, PASS, evaluation=FIRST, severity=Severity.CRITICAL),
        result(1, FAIL, evaluation=SECOND, severity=Severity.CRITICAL),
    ]
    assert [s.evaluation_id.int for s in report(results).evaluations] == [2, 1, 9]


def test_the_commonest_error_says_why_after_the_quotes_and_without_one() -> None:
    def broken(why: str) -> EvaluationResult:
        made = result(None, None)
        return replace(made, judgement=replace(made.judgement, explanation=why))

    only = summary(broken("b"), broken("a"), broken("b"), *(result(1, FAIL) for _ in range(9)))
    assert len(only.evidence) == MAX_EVIDENCE
    assert [evidence.verdict for evidence in only.evidence] == [FAIL] * 4 + [None]
    assert (only.evidence[-1].quote, only.evidence[-1].explanation) == ("", "b")


def test_a_run_that_broke_altogether_tells_its_commonest_fault() -> None:
    gone, refused = Fault(FaultSource.CHANNEL, "GONE", "gone"), Fault(FaultSource.CHANNEL, "NO", "no", "ask")
    broken = [session(fault=fault) for fault in (gone, refused, refused)]
    assert build_report(RUN, broken, [], {}, ()).run.error == "channel: no (NO). ask"
    assert build_report(RUN, [*broken, session()], [], {}, ()).run.error == ""
