"""Pass criteria: read once, verdicts in order, no gaps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from mimic_server.domain.errors import InvalidInputError
from mimic_server.domain.evaluations import Metric, PassCriteria, Verdict
from mimic_server.evaluation.criteria import RANGES, Criteria, parse_criteria

PASS, WARNING, FAIL = Verdict.PASS, Verdict.WARNING, Verdict.FAIL


def criteria(passes: str = "", warns: str = "", fails: str = "") -> PassCriteria:
    return PassCriteria.model_validate({"pass": passes, "warning": warns, "fail": fails})


@pytest.mark.parametrize(
    "metric, texts, verdicts",
    [
        (Metric.LATENCY_MS, ("<= 2000",), {0: PASS, 2000: PASS, 2000.1: FAIL}),
        (Metric.LATENCY_MS, ("<=20ms", "> 20 ms and <= 50"), {20: PASS, 21: WARNING, 50: WARNING, 51: FAIL}),
        (Metric.LATENCY_MS, ("", "> 1000", "> 3000"), {500: PASS, 1500: WARNING, 3500: WARNING}),
        (Metric.LATENCY_MS, ("", "", "> 3000"), {3000: PASS, 3001: FAIL}),
        (Metric.LATENCY_MS, ("< 10", "", ">= 10"), {9.99: PASS, 10: FAIL}),
        (Metric.LATENCY_MS, ("< 10", ">= 10 and <= 20", "> 20"), {20: WARNING, 20.5: FAIL}),
        (Metric.ACCURACY_PERCENTAGE, (">= 80%",), {80: PASS, 79.9: FAIL}),
        (Metric.ACCURACY_PERCENTAGE, (">= 50 and <= 60",), {50: PASS, 61: FAIL}),
        (Metric.SENTIMENT_SCORE, (">= -0.3", ">= -.65"), {-0.3: PASS, -0.5: WARNING, -0.66: FAIL}),
        (Metric.SENTIMENT_SCORE, ("> +0.5",), {0.5: FAIL, 0.6: PASS}),
        (Metric.BOOLEAN, ("true",), {1: PASS, 0: FAIL}),
        (Metric.BOOLEAN, ("false",), {0: PASS, 1: FAIL}),
        (Metric.BOOLEAN, ("true", "", "false"), {1: PASS, 0: FAIL}),
        (Metric.BOOLEAN, ("== 1", "false"), {1: PASS, 0: WARNING}),
        (Metric.COUNT, ("== 0", "== 1", ">= 2"), {0: PASS, 1: WARNING, 2: FAIL}),
        (Metric.COUNT, ("<= 1", "", "> 1"), {1: PASS, 2: FAIL}),
        (Metric.COUNT, ("!= 1",), {0: PASS, 1: FAIL, 2: PASS}),
        (Metric.COUNT, ("< 1", "", ">= 0.5"), {0: PASS, 1: FAIL}),
    ],
)  # fmt: skip
def test_verdicts(metric: Metric, texts: tuple[str, ...], verdicts: dict[float, Verdict]) -> None:
    parsed = parse_criteria(criteria(*texts), metric)
    assert {value: parsed.verdict(value) for value in verdicts} == verdicts


@pytest.mark.parametrize(
    "metric, texts, field, problem",
    [
        (Metric.LATENCY_MS, ("fast",), "pass_criteria.pass", "not understood"),
        (Metric.LATENCY_MS, ("<= 2000 or > 5",), "pass_criteria.pass", "not understood"),
        (Metric.LATENCY_MS, ("= 5",), "pass_criteria.pass", "not understood"),
        (Metric.LATENCY_MS, ("<= 1e3",), "pass_criteria.pass", "not understood"),
        (Metric.LATENCY_MS, ("<= nan",), "pass_criteria.pass", "not understood"),
        (Metric.LATENCY_MS, ("> 1 and",), "pass_criteria.pass", "not understood"),
        (Metric.LATENCY_MS, ("> 1 and < 5 and < 4",), "pass_criteria.pass", "more than two"),
        (Metric.LATENCY_MS, ("<= 5%",), "pass_criteria.pass", "not measured in %"),
        (Metric.LATENCY_MS, ("<= -1",), "pass_criteria.pass", "out of range"),
        (Metric.LATENCY_MS, ("true",), "pass_criteria.pass", "for the metric boolean"),
        (Metric.LATENCY_MS, ("<= 5", "slow"), "pass_criteria.warning", "not understood"),
        (Metric.LATENCY_MS, ("", "", "slow"), "pass_criteria.fail", "not understood"),
        (Metric.LATENCY_MS, ("> 5 and < 3",), "pass_criteria.pass", "never met"),
        (Metric.LATENCY_MS, (), "pass_criteria", "at least pass or fail"),
        (Metric.LATENCY_MS, ("", "> 3"), "pass_criteria", "at least pass or fail"),
        (Metric.LATENCY_MS, ("< 10", "", "> 20"), "pass_criteria", "10 is neither"),
        (Metric.LATENCY_MS, ("< 10", "", "> 10"), "pass_criteria", "10 is neither"),
        (Metric.LATENCY_MS, ("> 10", "", "< 5"), "pass_criteria", "5 is neither"),
        (Metric.ACCURACY_PERCENTAGE, ("<= 150",), "pass_criteria.pass", "out of range"),
        (Metric.SENTIMENT_SCORE, (">= 50",), "pass_criteria.pass", "out of range"),
        (Metric.SENTIMENT_SCORE, (">= 0", "", "< -0.5"), "pass_criteria", "-0.5 is neither"),
        (Metric.BOOLEAN, ("> 1",), "pass_criteria.pass", "never met"),
        (Metric.BOOLEAN, ("== 2",), "pass_criteria.pass", "out of range"),
        (Metric.BOOLEAN, ("== 0.5",), "pass_criteria.pass", "never met"),
        (Metric.COUNT, ("== 0", "", ">= 2"), "pass_criteria", "1 is neither"),
        (Metric.COUNT, ("== 1.5",), "pass_criteria.pass", "never met"),
        (Metric.COUNT, ("> 1 and < 2",), "pass_criteria.pass", "never met"),
    ],
)  # fmt: skip
def test_what_is_refused(metric: Metric, texts: tuple[str, ...], field: str, problem: str) -> None:
    with pytest.raises(InvalidInputError, match=problem) as caught:
        parse_criteria(criteria(*texts), metric)
    assert [violation.field for violation in caught.value.violations] == [field]


def test_every_threshold_is_told() -> None:
    with pytest.raises(InvalidInputError) as caught:
        parse_criteria(criteria("a", "b", "c"), Metric.COUNT)
    assert len(caught.value.violations) == 3


def comparisons(metric: Metric) -> st.SearchStrategy[str]:
    low, high = RANGES[metric].low, min(RANGES[metric].high, 10)
    number: st.SearchStrategy[Any] = st.integers(int(low), int(high)) | st.sampled_from([0.5, 0.25])
    one = st.builds("{} {}".format, st.sampled_from(["<=", ">=", "<", ">", "==", "!="]), number)
    return one | st.builds("{} and {}".format, one, one)


def parsed_or_none(texts: Sequence[str], metric: Metric) -> Criteria | None:
    try:
        return parse_criteria(criteria(*texts), metric)
    except InvalidInputError:
        return None


@settings(deadline=None)
@given(st.data(), st.sampled_from(list(Metric)))
def test_no_value_is_without_a_verdict(data: st.DataObject, metric: Metric) -> None:
    texts = [data.draw(st.just("") | comparisons(metric)) for _ in range(3)]
    parsed = parsed_or_none(texts, metric)
    assume(parsed is not None)
    assert parsed is not None
    ranked = ((parsed.passing, PASS), (parsed.warning, WARNING), (parsed.failing, FAIL))
    for value in filter(RANGES[metric].holds, (step / 8 for step in range(-8, 90))):
        first = next((verdict for condition, verdict in ranked if condition.holds(value)), None)
        if texts[0] and texts[2]:
            assert first is not None
        assert parsed.verdict(value) is (first or (FAIL if texts[0] else PASS))


@settings(deadline=None)
@given(st.text(max_size=40), st.sampled_from(list(Metric)))
def test_any_text_is_read_or_refused(text: str, metric: Metric) -> None:
    parsed = parsed_or_none((text, "", text), metric)
    assert parsed is None or parsed.verdict(0) in Verdict


def test_ranges() -> None:
    assert str(RANGES[Metric.BOOLEAN]) == "true or false"
    assert str(RANGES[Metric.COUNT]) == "a whole number from 0 on"
    assert not RANGES[Metric.LATENCY_MS].holds(math.nan)
    assert not RANGES[Metric.COUNT].holds(1.5)
