"""Evaluations, shortly written."""

from __future__ import annotations

from typing import Any

from mimic_server.domain.evaluations import EvaluationSpec, Judgement, Method, Metric
from mimic_server.domain.messages import Transcript
from mimic_server.domain.ports import LanguageModel
from mimic_server.evaluation.compile import compile_evaluation
from mimic_server.evaluation.judge import judge
from mimic_server.llm.scripted import ScriptedModel

FULL: dict[str, dict[str, Any]] = {
    Method.TIMESTAMP_DIFF: {"metric": Metric.LATENCY_MS, "passes": "<= 1000"},
    Method.LLM_MATCH: {"metric": Metric.BOOLEAN, "passes": "true", "llm_prompt": "Is the agent polite?"},
    Method.SENTIMENT_ANALYSIS: {"metric": Metric.SENTIMENT_SCORE, "passes": ">= 0"},
    Method.REGEX_MATCH: {"metric": Metric.COUNT, "passes": "== 0", "regex": "x"},
    Method.CUSTOM_SCRIPT: {
        "metric": Metric.COUNT, "passes": "== 0", "script": "def evaluate(transcript):\n    return 0\n",
    },
}  # fmt: skip
"""What makes an evaluation of each method complete."""


def spec(method: Method, **fields: Any) -> EvaluationSpec:
    """A complete evaluation; `passes` is its threshold for PASS."""
    full = {"name": "check", "method": method, **FULL[method], **fields}
    criteria = {"pass": full.pop("passes")}
    return EvaluationSpec.model_validate({**full, "pass_criteria": criteria})


async def judged(
    transcript: Transcript, method: Method, model: LanguageModel | None = None, **fields: Any
) -> Judgement:
    return await judge(compile_evaluation(spec(method, **fields)), transcript, model or ScriptedModel())
