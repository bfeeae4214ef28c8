"""A run's report in a terminal."""

from __future__ import annotations

from mimic.v1 import evaluations_pb2, runs_pb2
from rich.console import Console
from rich.text import Text

from mimic_server.cli.errors import Exit
from mimic_server.cli.playing import exit_of
from mimic_server.cli.view import counted, outcome_style, word

_UNITS = {"latency_ms": " ms", "accuracy_percentage": " %"}
_SEVERITY_STYLES = {"critical": "bold red", "high": "red", "medium": "yellow", "low": "dim"}
MAX_NAME = 44
MAX_QUOTE = 160


def show_report(console: Console, report: runs_pb2.RunReport) -> None:
    """Prints, for each evaluation, its verdicts, value, severity and one quote; then the totals."""
    console.print()
    width = max((len(evaluation.name) for evaluation in report.evaluations), default=0)
    for evaluation in report.evaluations:
        _show_evaluation(console, evaluation, min(width, MAX_NAME))
    outcome, style = outcome_style(report.run.outcome)
    inconclusive = report.run.outcome == runs_pb2.RUN_OUTCOME_INCONCLUSIVE
    if inconclusive and exit_of(report) == Exit.INFRASTRUCTURE:
        outcome, style = "COULD NOT RUN", "bold red"
    _say(console, Text.assemble((outcome, style), f"  {_sessions(report)}"))
    if report.run.error:
        _say(console, Text(" ".join(report.run.error.split()), "red"))
    _say(console, _totals(report))


def _say(console: Console, text: Text, indent: int = 0) -> None:
    """Prints a text, wrapped between words on a terminal; elsewhere as one line."""
    lines = text.wrap(console, max(20, console.width - indent)) if console.is_terminal else [text]
    for line in lines:
        line.rstrip()
        console.print(Text(" " * indent) + line, soft_wrap=True)


def _show_evaluation(console: Console, evaluation: runs_pb2.EvaluationSummary, width: int) -> None:
    severity = word(evaluation, "severity")
    line = Text.assemble(
        _mark(evaluation), "  ", (f"{evaluation.name:{width}}", "bold"), "  ", _counts(evaluation)
    )
    if value := _value(evaluation):
        line.append(f"  {value}")
    if severity:
        line.append("  ").append(severity, _SEVERITY_STYLES.get(severity, ""))
    _say(console, line)
    told = [evidence for evidence in evaluation.evidence if evidence.verdict][:1]
    told += [evidence for evidence in evaluation.evidence if not evidence.verdict]
    for evidence in told:
        quote = " ".join(evidence.quote.split())
        quote = quote if len(quote) <= MAX_QUOTE else f"{quote[: MAX_QUOTE - 1]}…"
        if quote:
            _say(console, Text(f"“{quote}”", "italic"), 7)
        explanation = " ".join(evidence.explanation.split())
        if explanation and evidence.verdict:
            _say(console, Text(explanation, "dim"), 7)
        elif explanation:
            _say(console, Text(f"error: {explanation}", "yellow"), 7)
    console.print()


def _mark(evaluation: runs_pb2.EvaluationSummary) -> Text:
    if evaluation.failed:
        return Text("FAIL ", "bold red")
    if evaluation.warned:
        return Text("WARN ", "bold yellow")
    if evaluation.passed:
        return Text("PASS ", "bold green")
    return Text("ERROR" if evaluation.errors else "-    ", "yellow" if evaluation.errors else "dim")


def _counts(evaluation: runs_pb2.EvaluationSummary) -> Text:
    text = Text()
    for count, name, style in (
        (evaluation.passed, "pass", "green"),
        (evaluation.warned, "warn", "yellow"),
        (evaluation.failed, "fail", "red"),
        (evaluation.errors, "error", "yellow"),
        (evaluation.skipped, "n/a", "dim"),
    ):
        if count:
            text.append(f"{' ' if text else ''}{count} {name}", style)
    return text


def _value(evaluation: runs_pb2.EvaluationSummary) -> str:
    if not evaluation.HasField("value_mean"):
        return ""
    metric = word(evaluation, "metric")
    unit = _UNITS.get(metric, "")
    if evaluation.metric == evaluations_pb2.METRIC_BOOLEAN:
        return f"{evaluation.value_mean:.0%} true"
    worst = f" (worst {_number(evaluation.value_worst)}{unit})" if evaluation.HasField("value_worst") else ""
    return f"{_number(evaluation.value_mean)}{unit}{worst}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.2f}"


def _sessions(report: runs_pb2.RunReport) -> str:
    states = ", ".join(f"{entry.count} {word(entry, 'state')}" for entry in report.states)
    ends = ", ".join(
        f"{entry.count} {word(entry, 'reason').replace('_', ' ')}" for entry in report.terminations
    )
    faults = "".join(f"; {entry.count} by a fault of the {word(entry, 'source')}" for entry in report.faults)
    ends = f" ({ends})" if ends else ""
    return f"{counted(report.run.sessions_total, 'session')}: {states}{ends}{faults}"


def _totals(report: runs_pb2.RunReport) -> Text:
    parts = [counted(report.turns, "turn"), counted(report.messages, "message")]
    if report.HasField("latency_p50_ms"):
        parts.append(
            f"agent's first byte p50 {report.latency_p50_ms:,.0f} ms, p95 {report.latency_p95_ms:,.0f} ms"
        )
    tokens = report.usage.prompt_tokens + report.usage.completion_tokens
    parts.append(f"{counted(tokens, 'token')} of {report.model}" if tokens else f"personas: {report.model}")
    return Text(" · ".join(parts), "dim")
