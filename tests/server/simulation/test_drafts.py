"""The prompts and answers of drafts."""

from __future__ import annotations

from typing import Any

import pytest
from mimic_server.domain.agents import AgentSpec
from mimic_server.domain.bootstraps import BootstrapOptions
from mimic_server.simulation.drafts import EvaluationDrafts, EvaluationDraftsTask, PersonaDraftTask
from pydantic import ValidationError

AGENT = AgentSpec(name="Northwind", description="Sells tents.", platform="whatsapp")
OPTIONS = BootstrapOptions(personas=3, evaluations=4, instructions="Look at refunds.")
GOOD: dict[str, Any] = {
    "name": "Fast", "metric": "latency_ms", "method": "timestamp_diff", "pass_criteria": {"pass": "<= 1000"},
}  # fmt: skip


def test_prompts_tell_what_is_wanted() -> None:
    prompts = [
        [message.content for message in PersonaDraftTask(AGENT, OPTIONS, index, ("Tom",)).messages()]
        for index in range(3)
    ]
    assert len({prompt[0] for prompt in prompts}) == 1
    assert len({prompt[1] for prompt in prompts}) == 3
    for text in ("Northwind", "Sells tents.", "whatsapp", "Look at refunds.", "customer 2 of 3", "Tom"):
        assert text in prompts[1][1]
    checks = "\n".join(
        message.content for message in EvaluationDraftsTask(AGENT, OPTIONS, ("Fast",)).messages()
    )
    for text in ("Northwind", "Look at refunds.", "about 4 checks", "Fast"):
        assert text in checks


def test_good_drafts_are_taken() -> None:
    drafts = EvaluationDrafts.model_validate({"evaluations": [GOOD, {**GOOD, "name": "Faster"}]})
    assert [spec.name for spec in drafts.evaluations] == ["Fast", "Faster"]


@pytest.mark.parametrize(
    "draft, problem",
    [
        ({"regex": "a("}, r"\[1\].regex: character 2: missing \)"),
        ({"metric": "count"}, r"\[1\].metric: timestamp_diff does not measure count"),
        ({"pass_criteria": {"pass": "fast"}}, r"\[1\].pass_criteria.pass: 'fast' is not understood"),
        ({"name": "fast"}, r"\[1\].name: two have it"),
        ({"method": "custom_script", "script": "def evaluate(t) 1"}, r"\[1\].script: line 1, column 17"),
    ],
)
def test_drafts_that_would_not_run_are_told(draft: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        EvaluationDrafts.model_validate({"evaluations": [GOOD, {**GOOD, "name": "Other", **draft}]})
