"""Runs and their reports."""

from __future__ import annotations

from mimic.v1 import runs_pb2 as pb

from mimic_server.domain.runs import EvaluationSummary, Run, RunOptions, RunReport
from mimic_server.rpc.convert import requests
from mimic_server.rpc.convert import sessions as convert_sessions
from mimic_server.rpc.convert.enums import (
    FAULT_SOURCE,
    JOB_STATE,
    METHOD,
    METRIC,
    RUN_OUTCOME,
    SESSION_STATE,
    SEVERITY,
    TERMINATION_REASON,
    VERDICT,
)
from mimic_server.rpc.convert.values import optional_timestamp, timestamp, usage


def read_options(proto: pb.RunOptions, at: str) -> RunOptions:
    """Raises InvalidInputError."""
    return RunOptions.parse(requests.values(proto, at), at)


def run(domain: Run) -> pb.Run:
    """A run."""
    return pb.Run(
        id=str(domain.id),
        name=domain.name,
        agent_id=str(domain.agent_id),
        connection_id=str(domain.connection_id),
        persona_ids=map(str, domain.persona_ids),
        evaluation_ids=map(str, domain.evaluation_ids),
        options=pb.RunOptions(
            repeats=domain.options.repeats,
            concurrency=domain.options.concurrency,
            session=convert_sessions.options(domain.options.session),
        ),
        state=JOB_STATE.write(domain.state),
        outcome=RUN_OUTCOME.write(domain.outcome),
        sessions_total=domain.sessions_total,
        sessions_ended=domain.sessions_ended,
        error=domain.error,
        cancel_requested=domain.cancel_requested,
        create_time=timestamp(domain.created_at),
        start_time=optional_timestamp(domain.started_at),
        end_time=optional_timestamp(domain.ended_at),
    )


def report(domain: RunReport) -> pb.RunReport:
    """A run's aggregate."""
    return pb.RunReport(
        run=run(domain.run),
        evaluations=map(_summary, domain.evaluations),
        states=[
            pb.StateCount(state=SESSION_STATE.write(state), count=count)
            for state, count in domain.sessions_by_state.items()
        ],
        terminations=[
            pb.TerminationCount(reason=TERMINATION_REASON.write(reason), count=count)
            for reason, count in domain.terminations.items()
        ],
        faults=[
            pb.FaultCount(source=FAULT_SOURCE.write(source), count=count)
            for source, count in domain.faults.items()
        ],
        latency_p50_ms=domain.latency_p50_ms,
        latency_p95_ms=domain.latency_p95_ms,
        messages=domain.messages,
        turns=domain.turns,
        usage=usage(domain.usage),
        model=domain.model,
    )


def _summary(domain: EvaluationSummary) -> pb.EvaluationSummary:
    return pb.EvaluationSummary(
        evaluation_id=str(domain.evaluation_id),
        name=domain.name,
        metric=METRIC.write(domain.metric),
        method=METHOD.write(domain.method),
        severity=SEVERITY.write(domain.severity),
        passed=domain.passed,
        warned=domain.warned,
        failed=domain.failed,
        errors=domain.errors,
        skipped=domain.skipped,
        value_mean=domain.value_mean,
        value_worst=domain.value_worst,
        evidence=[
            pb.Evidence(
                session_id=str(quote.session_id),
                seq=quote.seq,
                quote=quote.quote,
                explanation=quote.explanation,
                verdict=VERDICT.write(quote.verdict),
            )
            for quote in domain.evidence
        ],
    )
