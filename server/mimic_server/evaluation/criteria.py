"""Pass criteria: thresholds read once, and the verdict on a value."""

from __future__ import annotations

import itertools
import math
import operator
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from mimic_server.domain.errors import InvalidInputError, Violation
from mimic_server.domain.evaluations import Metric, PassCriteria, Verdict

_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
    "==": operator.eq,
    "!=": operator.ne,
}
_COMPARISON = re.compile(r"(<=|>=|==|!=|<|>)\s*([+-]?(?:\d+(?:\.\d*)?|\.\d+))\s*(ms|%)?")
_WORDS = {"true": 1.0, "false": 0.0}
_UNITS = {Metric.LATENCY_MS: "ms", Metric.ACCURACY_PERCENTAGE: "%"}
_FORM = 'write a comparison such as "<= 2000", "true" or "false", or two joined by "and"'


@dataclass(frozen=True, slots=True)
class Range:
    """The values that a metric can have."""

    low: float
    high: float
    whole: bool
    """True: whole numbers alone."""

    def holds(self, value: float) -> bool:
        """Whether a metric can have this value."""
        return self.low <= value <= self.high and (not self.whole or value == math.floor(value))

    def __str__(self) -> str:
        if self.whole and self.high == 1:
            return "true or false"
        kind = "a whole number" if self.whole else "a number"
        return f"{kind} from {self.low:g}" + (f" to {self.high:g}" if self.high < math.inf else " on")


RANGES = {
    Metric.LATENCY_MS: Range(0, math.inf, whole=False),
    Metric.BOOLEAN: Range(0, 1, whole=True),
    Metric.SENTIMENT_SCORE: Range(-1, 1, whole=False),
    Metric.ACCURACY_PERCENTAGE: Range(0, 100, whole=False),
    Metric.COUNT: Range(0, math.inf, whole=True),
}


@dataclass(frozen=True, slots=True)
class Comparison:
    """A comparison with a number."""

    symbol: str
    threshold: float

    def holds(self, value: float) -> bool:
        """Whether a value meets it."""
        return _OPERATORS[self.symbol](value, self.threshold)


@dataclass(frozen=True, slots=True)
class Condition:
    """One of the thresholds: one comparison, or two that both hold. Of none, it is never met."""

    comparisons: tuple[Comparison, ...] = ()

    def holds(self, value: float) -> bool:
        """Whether a value meets it."""
        return bool(self.comparisons) and all(comparison.holds(value) for comparison in self.comparisons)


@dataclass(frozen=True, slots=True)
class Criteria:
    """What becomes of a value."""

    passing: Condition
    warning: Condition
    failing: Condition
    otherwise: Verdict
    """Verdict of a value that meets none of the three."""

    def verdict(self, value: float) -> Verdict:
        """The verdict on a value: the first of pass, warning and fail that it meets."""
        if self.passing.holds(value):
            return Verdict.PASS
        if self.warning.holds(value):
            return Verdict.WARNING
        return Verdict.FAIL if self.failing.holds(value) else self.otherwise


def parse_criteria(criteria: PassCriteria, metric: Metric) -> Criteria:
    """Reads thresholds, and makes sure that every value has a verdict.

    Raises:
        InvalidInputError: Fields `pass_criteria`, `pass_criteria.pass`, `.warning`, `.fail`.
    """
    violations: list[Violation] = []
    conditions = []
    for name, text in (("pass", criteria.pass_), ("warning", criteria.warning), ("fail", criteria.fail)):
        condition = Condition()
        if text.strip():
            try:
                condition = _condition(text, metric)
            except ValueError as error:
                violations.append(Violation(f"pass_criteria.{name}", str(error)))
        conditions.append(condition)
    passing, warning, failing = conditions
    if not violations and not passing.comparisons and not failing.comparisons:
        violations.append(Violation("pass_criteria", "give at least pass or fail"))
    if not violations and passing.comparisons and failing.comparisons:
        for value in _probes(conditions, metric):
            if not any(condition.holds(value) for condition in conditions):
                violations.append(Violation("pass_criteria", f"{value:g} is neither pass, warning nor fail"))
                break
    if violations:
        raise InvalidInputError(violations)
    return Criteria(passing, warning, failing, Verdict.FAIL if passing.comparisons else Verdict.PASS)


def _condition(text: str, metric: Metric) -> Condition:
    parts = re.split(r"\s+and\s+", text.strip())
    if len(parts) > 2:
        raise ValueError(f"joins more than two comparisons; {_FORM}")
    condition = Condition(tuple(_comparison(part.strip(), metric) for part in parts))
    if not any(condition.holds(value) for value in _probes([condition], metric)):
        raise ValueError(f"is never met: {metric} is {RANGES[metric]}")
    return condition


def _comparison(text: str, metric: Metric) -> Comparison:
    if text in _WORDS:
        if metric is not Metric.BOOLEAN:
            raise ValueError(f'"{text}" is for the metric boolean; {metric} is {RANGES[metric]}')
        return Comparison("==", _WORDS[text])
    match = _COMPARISON.fullmatch(text)
    if match is None:
        raise ValueError(f"{text[:40]!r} is not understood; {_FORM}")
    symbol, number, unit = match.groups()
    if unit and unit != _UNITS.get(metric):
        raise ValueError(f"{metric} is not measured in {unit}")
    threshold = float(number)
    limits = RANGES[metric]
    if not limits.low <= threshold <= limits.high:
        raise ValueError(f"{number} is out of range: {metric} is {limits}")
    return Comparison(symbol, threshold)


def _probes(conditions: Iterable[Condition], metric: Metric) -> list[float]:
    """Values among which there is one of each piece that the thresholds cut the metric's range into."""
    limits = RANGES[metric]
    found: set[float]
    cuts = sorted({c.threshold for condition in conditions for c in condition.comparisons} | {limits.low})
    cuts.append(limits.high if limits.high < math.inf else cuts[-1] + 1)
    if limits.whole:
        found = {step for cut in cuts for step in (math.floor(cut) - 1, math.floor(cut), math.floor(cut) + 1)}
    else:
        found = {*cuts, *((low + high) / 2 for low, high in itertools.pairwise(cuts))}
    return sorted(value for value in found if limits.holds(value))
