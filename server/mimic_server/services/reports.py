"""What a run has found, put together from its sessions and results. Pure functions."""

from __future__ import annotations

import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain

from mimic_server.domain.evaluations import (
    Aggregate,
    EvaluationResult,
    Metric,
    ResultStatus,
    Severity,
    Verdict,
)
from mimic_server.domain.ids import SessionId
from mimic_server.domain.messages import Message, Usage
from mimic_server.domain.runs import EvaluationSummary, Evidence, Run, RunReport
from mimic_server.domain.sessions import Session
from mimic_server.evaluation.measured import aggregated

MAX_EVIDENCE = 5
"""Quotes of one evaluation; the commonest error is one of them, last and without a quote."""

_QUOTE_CHARS = 500
_LARGE_IS_BAD = frozenset({Metric.LATENCY_MS, Metric.COUNT})
_SEVERITIES = tuple(Severity)

Quotes = Mapping[tuple[SessionId, int], Message]
"""Messages by their session and seq."""


def build_report(
    run: Run,
    sessions: Sequence[Session],
    results: Sequence[EvaluationResult],
    quotes: Quotes,
    latencies: Sequence[float],
) -> RunReport:
    """Aggregates a run.

    Args:
        run: The run.
        sessions: All its sessions.
        results: All their results.
        quotes: At least the messages that `quoted` names; one that is missing is left out of the evidence.
        latencies: Milliseconds to the agent's first byte, of all turns.
    """
    summaries = [_summary(of_one, quotes) for of_one in _by_evaluation(results)]
    summaries.sort(key=lambda s: (-_SEVERITIES.index(s.severity), -s.failed, -s.warned, -s.errors, s.name))
    spent = chain((s.usage for s in sessions), (r.judgement.usage for r in results))
    return RunReport(
        run=_with_fault(run, sessions),
        evaluations=tuple(summaries),
        sessions_by_state=dict(Counter(s.state for s in sessions)),
        terminations=dict(Counter(s.termination for s in sessions if s.termination is not None)),
        faults=dict(Counter(s.fault.source for s in sessions if s.fault is not None)),
        latency_p50_ms=aggregated(latencies, Aggregate.P50) if latencies else None,
        latency_p95_ms=aggregated(latencies, Aggregate.P95) if latencies else None,
        messages=sum(s.message_count for s in sessions),
        turns=sum(s.turns for s in sessions),
        usage=sum((usage for usage in spent if usage is not None), Usage()),
        model=", ".join(sorted({s.model for s in sessions if s.model})),
    )


def _with_fault(run: Run, sessions: Sequence[Session]) -> Run:
    """The run; when every session broke and nothing else is told, with the commonest fault as its error."""
    faults = [s.fault for s in sessions if s.fault is not None]
    if run.error or not faults or len(faults) < len(sessions):
        return run
    ((fault, _),) = Counter(faults).most_common(1)
    text = f"{fault.source.value.lower()}: {fault.message} ({fault.reason})"
    return replace(run, error=" ".join(f"{text}. {fault.remedy}".split()) if fault.remedy else text)


def quoted(results: Sequence[EvaluationResult]) -> Sequence[tuple[SessionId, int]]:
    """Session and seq of the messages that a report on these results quotes."""
    return [
        (result.session_id, result.judgement.evidence[0])
        for of_one in _by_evaluation(results)
        for result in _telling(of_one)
    ]


def _by_evaluation(results: Sequence[EvaluationResult]) -> Sequence[Sequence[EvaluationResult]]:
    grouped = defaultdict(list)
    for result in results:
        grouped[result.evaluation_id].append(result)
    return list(grouped.values())


def _summary(results: Sequence[EvaluationResult], quotes: Quotes) -> EvaluationSummary:
    # The evaluation may have been changed between two sessions: it is called what it was called last.
    last = max(results, key=lambda result: result.created_at)
    verdicts = Counter(result.judgement.verdict for result in results)
    statuses = Counter(result.judgement.status for result in results)
    values = [value for value, _ in _scored(results)]
    return EvaluationSummary(
        evaluation_id=last.evaluation_id,
        name=last.name,
        metric=last.metric,
        method=last.method,
        severity=last.severity,
        passed=verdicts[Verdict.PASS],
        warned=verdicts[Verdict.WARNING],
        failed=verdicts[Verdict.FAIL],
        errors=statuses[ResultStatus.ERROR],
        skipped=statuses[ResultStatus.SKIPPED],
        value_mean=statistics.fmean(values) if values else None,
        value_worst=max(values, key=_Badness(results)) if values else None,
        evidence=tuple(_evidence(results, quotes)),
    )


def _scored(results: Sequence[EvaluationResult]) -> Sequence[tuple[float, Verdict]]:
    return [
        (result.judgement.value, result.judgement.verdict)
        for result in results
        if result.judgement.value is not None and result.judgement.verdict is not None
    ]


class _Badness:
    """How far a value is from a PASS, judged by the values of the same evaluation that passed.

    Where none passed, or all did, the metric tells: long latencies and high counts are bad, and low values of
    the others. The worse verdict always counts for more.
    """

    def __init__(self, results: Sequence[EvaluationResult]) -> None:
        scored = _scored(results)
        rank = {Verdict.PASS: 0, Verdict.WARNING: 1, Verdict.FAIL: 2}
        self._rank = {value: rank[verdict] for value, verdict in sorted(scored, key=lambda s: rank[s[1]])}
        passed = [value for value, verdict in scored if verdict is Verdict.PASS]
        told = bool(passed) and len(passed) < len(scored)
        self._low = min(passed) if told else None
        self._high = max(passed) if told else None
        self._sign = 1 if results[0].metric in _LARGE_IS_BAD else -1

    def __call__(self, value: float) -> tuple[int, float]:
        if self._low is None or self._high is None:
            return self._rank[value], self._sign * value
        return self._rank[value], max(self._low - value, value - self._high, -math.inf)


def _telling(results: Sequence[EvaluationResult]) -> Sequence[EvaluationResult]:
    """The results that are quoted: failures and warnings, the worst first, then one that passed."""
    shown = [
        r for r in results if r.judgement.evidence and r.judgement.verdict and r.judgement.value is not None
    ]
    if not shown:
        return []
    badness = _Badness(shown)
    bad = [r for r in shown if r.judgement.verdict is not Verdict.PASS]
    bad.sort(key=lambda r: badness(r.judgement.value or 0.0), reverse=True)
    good = [r for r in shown if r.judgement.verdict is Verdict.PASS][:1]
    return [*bad[: MAX_EVIDENCE - len(good)], *good]


def _evidence(results: Sequence[EvaluationResult], quotes: Quotes) -> Sequence[Evidence]:
    found = []
    for result in _telling(results):
        seq = result.judgement.evidence[0]
        message = quotes.get((result.session_id, seq))
        if message is not None and result.judgement.verdict is not None:
            found.append(
                Evidence(
                    result.session_id,
                    seq,
                    cut(message.text, _QUOTE_CHARS),
                    result.judgement.explanation,
                    result.judgement.verdict,
                )
            )
    errors = Counter(
        result.judgement.explanation
        for result in results
        if result.judgement.status is ResultStatus.ERROR and result.judgement.explanation
    )
    if not errors:
        return found
    ((explanation, _),) = errors.most_common(1)
    broken = next(result for result in results if result.judgement.explanation == explanation)
    return [*found[: MAX_EVIDENCE - 1], Evidence(broken.session_id, 0, "", explanation, None)]


def cut(text: str, chars: int) -> str:
    """A text of at most so many characters; one that was longer ends in an ellipsis."""
    return text if len(text) <= chars else text[: chars - 1] + "…"
