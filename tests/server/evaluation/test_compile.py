"""What is told of an evaluation before it is ever run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mimic_server.domain.errors import InvalidInputError
from mimic_server.domain.evaluations import Method, Metric
from mimic_server.evaluation.compile import compile_evaluation
from mimic_server.evaluation.patterns import Pattern, PatternError
from mimic_server.evaluation.script_syntax import ScriptError, check_script

from tests.server.evaluation.specs import spec

OK = {
    Metric.LATENCY_MS: ">= 1", Metric.BOOLEAN: "true", Metric.SENTIMENT_SCORE: ">= 0",
    Metric.ACCURACY_PERCENTAGE: ">= 1", Metric.COUNT: ">= 1",
}  # fmt: skip
GOOD = {
    (Method.TIMESTAMP_DIFF, Metric.LATENCY_MS),
    (Method.SENTIMENT_ANALYSIS, Metric.SENTIMENT_SCORE),
    *((Method.LLM_MATCH, metric) for metric in Metric if metric is not Metric.LATENCY_MS),
    *((Method.REGEX_MATCH, m) for m in (Metric.BOOLEAN, Metric.COUNT, Metric.ACCURACY_PERCENTAGE)),
    *((Method.CUSTOM_SCRIPT, metric) for metric in Metric),
}


@pytest.mark.parametrize("method", list(Method))
@pytest.mark.parametrize("metric", list(Metric))
def test_which_methods_measure_what(method: Method, metric: Metric) -> None:
    evaluation = spec(method, metric=metric, passes=OK[metric])
    if (method, metric) in GOOD:
        assert compile_evaluation(evaluation).spec is evaluation
        return
    with pytest.raises(InvalidInputError, match=f"{method} does not measure {metric}") as caught:
        compile_evaluation(evaluation)
    assert [violation.field for violation in caught.value.violations] == ["metric"]


@pytest.mark.parametrize(
    "method, fields, field, problem",
    [
        (Method.LLM_MATCH, {"llm_prompt": " "}, "llm_prompt", "needs it"),
        (Method.REGEX_MATCH, {"regex": ""}, "regex", "needs it"),
        (Method.CUSTOM_SCRIPT, {"script": "\n"}, "script", "needs it"),
        (Method.LLM_MATCH, {"regex": "x"}, "regex", "does not use it"),
        (Method.LLM_MATCH, {"aggregate": "max"}, "aggregate", "does not use it"),
        (Method.TIMESTAMP_DIFF, {"llm_prompt": "x"}, "llm_prompt", "does not use it"),
        (Method.REGEX_MATCH, {"script": "def evaluate(t):\n  return 1"}, "script", "does not use it"),
        (Method.REGEX_MATCH, {"regex": "[a-z"}, "regex", r"character 1: missing \]"),
        (Method.TIMESTAMP_DIFF, {"regex": "ab(c"}, "regex", r"character 3: missing \)"),
        (Method.CUSTOM_SCRIPT, {"script": "def f(t):\n  return 1"}, "script", "defines no function evaluate"),
        (Method.CUSTOM_SCRIPT, {"script": "def evaluate(t):\n  retrun 1"}, "script", "line 2, column 10: "),
        (Method.CUSTOM_SCRIPT, {"script": "load('a', 'b')\ndef evaluate(t):\n  1"}, "script", "line 1"),
    ],
)  # fmt: skip
def test_what_is_refused(method: Method, fields: dict[str, Any], field: str, problem: str) -> None:
    with pytest.raises(InvalidInputError, match=problem) as caught:
        compile_evaluation(spec(method, **fields))
    assert [violation.field for violation in caught.value.violations] == [field]


def test_all_faults_are_told_at_once() -> None:
    broken = spec(Method.REGEX_MATCH, metric="latency_ms", passes="x", regex="(", script="(", llm_prompt="x")
    with pytest.raises(InvalidInputError) as caught:
        compile_evaluation(broken)
    fields = {violation.field for violation in caught.value.violations}
    assert fields == {"metric", "pass_criteria.pass", "regex", "script", "llm_prompt"}


@pytest.mark.parametrize(
    "source, position, problem",
    [
        ("[abc", 1, "missing ]"),
        ("é[abc", 2, "missing ]"),
        (r"\[a[b", 4, "missing ]"),
        ("a(b", 2, "missing )"),
        ("(a)(b", 4, "missing )"),
        (r"\((b", 3, "missing )"),
        ("[(](b", 4, "missing )"),
        ("[]()(]b(", 8, "missing )"),
        ("[[:alpha:](](", 13, "missing )"),
        (r"\Q(\E(", 6, "missing )"),
        ("a)b", 2, "unexpected )"),
        (r"\)(a)b)", 7, "unexpected )"),
        ("*a", 1, "no argument"),
        ("a|*", 3, "no argument"),
        ("a**", 2, "bad repetition"),
        (r"\**b**", 5, "bad repetition"),
        ("a{2,1}", 2, "invalid repetition size"),
        ("x{1001}", 2, "invalid repetition size"),
        ("ab(?=c)", 3, "invalid perl operator"),
        (r"(a)\1", 4, "invalid escape"),
        (r"a\pX", 2, "invalid character class"),
        ("a[z-a]", 3, "invalid character class"),
        ("a\\", 2, "nothing after it"),
        ("(?P<n!>x)", 1, "invalid named capture group"),
        ("a\ud800", 2, "not a character"),
        (r"\pL{1000}" * 20, 1, "too large"),
        ("(x{100}y{100}){10}" * 9, 1, "too large"),
    ],
)  # fmt: skip
def test_where_a_regex_is_wrong(source: str, position: int, problem: str) -> None:
    with pytest.raises(PatternError) as caught:
        Pattern(source)
    assert (caught.value.position, problem in caught.value.problem) == (position, True)


def fault(read: Callable[[str], object], source: str) -> ValueError | None:
    try:
        read(source)
    except (PatternError, ScriptError) as error:
        return error
    return None


@settings(deadline=None)
@given(st.text(alphabet=st.sampled_from("ab01()[]{}|*+?.\\^$-:<>=!PQEdpLué,"), max_size=30))
def test_every_wrong_regex_has_a_place(source: str) -> None:
    error = fault(Pattern, source)
    if isinstance(error, PatternError):
        assert 1 <= error.position <= max(len(source), 1)
        assert error.problem


@settings(deadline=None)
@given(st.text(max_size=60))
def test_any_text_is_a_script_or_has_a_fault(source: str) -> None:
    error = fault(check_script, source)
    assert error is None or (str(error) and "\n" not in str(error))


@pytest.mark.parametrize(
    "source",
    [
        "x = " + "(" * 9000 + "1" + ")" * 9000, "x = " + "[" * 9000 + "]" * 9000, "x = " + "-" * 19000 + "1",
        "x = " + "not " * 4500 + "1", "x = a" + ".a" * 9000, "x = " + "1 if 1 else " * 1500 + "1",
        "x = " + "lambda:" * 2500 + "1", "x = f'" + "{a}" * 6000 + "'", "x = 1" + "+1" * 9000,
    ],
    ids=range(9),
)  # fmt: skip
def test_deep_scripts_do_no_harm_here(source: str) -> None:
    check_script(f"{source}\ndef evaluate(t):\n  return 1")
