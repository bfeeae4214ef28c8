"""A run's report in a terminal."""

from __future__ import annotations

import io

from mimic.adapter.v1 import message_pb2
from mimic.v1 import evaluations_pb2, runs_pb2, sessions_pb2
from mimic_server.cli.summary import show_report
from rich.console import Console


def shown(report: runs_pb2.RunReport, *, terminal: bool = False) -> str:
    file = io.StringIO()
    show_report(Console(file=file, width=80, force_terminal=terminal, color_system=None), report)
    return file.getvalue()


def report(outcome: runs_pb2.RunOutcome.ValueType, **fields: object) -> runs_pb2.RunReport:
    run = runs_pb2.Run(sessions_total=1, outcome=outcome)
    made = runs_pb2.RunReport(run=run, turns=1, messages=2, model="scripted")
    made.states.add(state=sessions_pb2.SESSION_STATE_COMPLETED, count=1)
    made.MergeFrom(runs_pb2.RunReport(**fields))  # type: ignore[arg-type]
    return made


def test_an_error_says_why() -> None:
    broken = runs_pb2.EvaluationSummary(
        name="Fast",
        severity=evaluations_pb2.SEVERITY_HIGH,
        errors=1,
        evidence=[runs_pb2.Evidence(explanation="division by zero in line 1")],
    )
    text = shown(report(runs_pb2.RUN_OUTCOME_INCONCLUSIVE, evaluations=[broken]))
    assert "ERROR  Fast  1 error  high\n       error: division by zero in line 1\n" in text
    assert "INCONCLUSIVE  1 session: 1 completed\n" in text
    assert "1 turn · 2 messages" in text
    assert all(line == line.rstrip() for line in text.splitlines())


def test_a_run_that_broke_altogether_could_not_run() -> None:
    broken = report(
        runs_pb2.RUN_OUTCOME_INCONCLUSIVE,
        faults=[runs_pb2.FaultCount(source=message_pb2.FAULT_SOURCE_CHANNEL, count=1)],
        run=runs_pb2.Run(error="channel: nobody listens (CHANNEL_DOWN). Start the agent"),
    )
    text = shown(broken)
    assert "COULD NOT RUN  1 session" in text
    assert "\nchannel: nobody listens (CHANNEL_DOWN). Start the agent\n" in text


def test_no_word_is_broken_at_80_columns() -> None:
    words = " ".join(f"word{number}" for number in range(100))
    failed = runs_pb2.EvaluationSummary(
        name="Fast",
        failed=1,
        evidence=[
            runs_pb2.Evidence(quote=words, explanation=words, verdict=evaluations_pb2.VERDICT_FAIL),
        ],
    )
    text = shown(report(runs_pb2.RUN_OUTCOME_FAILED, evaluations=[failed]), terminal=True)
    assert max(map(len, text.splitlines())) <= 80
    assert set(words.split()) <= set(text.split())
