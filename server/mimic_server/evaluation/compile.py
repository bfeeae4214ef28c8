"""Reads an evaluation once: everything that can be wrong with it is told before a session is played."""

from __future__ import annotations

from dataclasses import dataclass

from mimic_server.domain.errors import InvalidInputError, Violation
from mimic_server.domain.evaluations import EvaluationSpec, Method, Metric
from mimic_server.evaluation.criteria import Criteria, parse_criteria
from mimic_server.evaluation.patterns import Pattern, PatternError
from mimic_server.evaluation.script_syntax import ScriptError, check_script

_METRICS: dict[Method, tuple[Metric, ...]] = {
    Method.TIMESTAMP_DIFF: (Metric.LATENCY_MS,),
    Method.LLM_MATCH: (Metric.BOOLEAN, Metric.SENTIMENT_SCORE, Metric.ACCURACY_PERCENTAGE, Metric.COUNT),
    Method.SENTIMENT_ANALYSIS: (Metric.SENTIMENT_SCORE,),
    Method.REGEX_MATCH: (Metric.BOOLEAN, Metric.ACCURACY_PERCENTAGE, Metric.COUNT),
    Method.CUSTOM_SCRIPT: tuple(Metric),
}
_FIELDS: dict[str, tuple[Method, ...]] = {
    "llm_prompt": (Method.LLM_MATCH, Method.SENTIMENT_ANALYSIS),
    "regex": (Method.REGEX_MATCH, Method.TIMESTAMP_DIFF),
    "script": (Method.CUSTOM_SCRIPT,),
    "aggregate": (Method.TIMESTAMP_DIFF, Method.REGEX_MATCH, Method.SENTIMENT_ANALYSIS),
}
_REQUIRED = {
    Method.LLM_MATCH: ("llm_prompt", "what the model is to judge"),
    Method.REGEX_MATCH: ("regex", "what to search for"),
    Method.CUSTOM_SCRIPT: ("script", "Starlark that defines `evaluate(transcript)`"),
}


@dataclass(frozen=True, slots=True)
class CompiledEvaluation:
    """An evaluation that is ready to judge."""

    spec: EvaluationSpec
    criteria: Criteria
    pattern: Pattern | None
    """None: the evaluation has no regex."""


def compile_evaluation(spec: EvaluationSpec) -> CompiledEvaluation:
    """Checks and reads an evaluation.

    Raises:
        InvalidInputError: One violation for each fault, with its position within the field.
    """
    violations = _unfitting(spec)
    criteria = pattern = None
    try:
        criteria = parse_criteria(spec.pass_criteria, spec.metric)
    except InvalidInputError as error:
        violations += error.violations
    try:
        pattern = Pattern(spec.regex) if spec.regex else None
    except PatternError as problem:
        violations.append(Violation("regex", str(problem)))
    try:
        if spec.script.strip():
            check_script(spec.script)
    except ScriptError as problem:
        violations.append(Violation("script", str(problem)))
    if violations or criteria is None:
        raise InvalidInputError(violations)
    return CompiledEvaluation(spec, criteria, pattern)


def _unfitting(spec: EvaluationSpec) -> list[Violation]:
    """Metrics and fields that do not go with the method, and what it lacks."""
    found = []
    if spec.metric not in _METRICS[spec.method]:
        fitting = ", ".join(_METRICS[spec.method])
        found.append(Violation("metric", f"{spec.method} does not measure {spec.metric}, but {fitting}"))
    for field, methods in _FIELDS.items():
        if getattr(spec, field) and spec.method not in methods:
            fitting = " and ".join(methods)
            found.append(Violation(field, f"{spec.method} does not use it, but {fitting}: leave it empty"))
    if spec.method in _REQUIRED:
        field, meaning = _REQUIRED[spec.method]
        if not getattr(spec, field).strip():
            found.append(Violation(field, f"{spec.method} needs it: {meaning}"))
    return found
