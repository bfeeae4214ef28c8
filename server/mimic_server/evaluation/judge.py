"""Judges a transcript: the method's value, then the verdict on it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from mimic_server.domain.errors import FaultError, InvalidInputError
from mimic_server.domain.evaluations import (
    Aggregate,
    EvaluationSpec,
    Judgement,
    Method,
    ResultStatus,
)
from mimic_server.domain.messages import Transcript
from mimic_server.domain.ports import LanguageModel
from mimic_server.evaluation import custom_script, llm_match, regex_match, sentiment_analysis, timestamp_diff
from mimic_server.evaluation.compile import CompiledEvaluation, compile_evaluation
from mimic_server.evaluation.criteria import RANGES
from mimic_server.evaluation.measured import Measured, NothingToJudge, NotJudged
from mimic_server.evaluation.patterns import Pattern

MAX_AT_ONCE = 8
_INLINE_CHARACTERS = 20_000

_log = logging.getLogger(__name__)


async def evaluate_all(
    specs: Sequence[EvaluationSpec],
    transcript: Transcript,
    model: LanguageModel,
    *,
    at_once: int = MAX_AT_ONCE,
) -> tuple[Judgement, ...]:
    """Judges a transcript by several evaluations, some at once.

    Args:
        specs: The evaluations. One that does not compile gives an ERROR.
        transcript: What was said.
        model: Who judges where a model is asked.
        at_once: How many are judged at once.

    Returns:
        The judgements, in the order of the evaluations.
    """
    slots = asyncio.Semaphore(at_once)

    async def one(spec: EvaluationSpec) -> Judgement:
        try:
            compiled = compile_evaluation(spec)
        except InvalidInputError as error:
            return Judgement(ResultStatus.ERROR, explanation=f"The evaluation is not valid: {error.message}.")
        async with slots:
            return await judge(compiled, transcript, model)

    return tuple(await asyncio.gather(*map(one, specs)))


async def judge(compiled: CompiledEvaluation, transcript: Transcript, model: LanguageModel) -> Judgement:
    """Judges a transcript by one evaluation. What goes wrong is an ERROR, never a FAIL: nothing is raised."""
    if not transcript.lines:
        return Judgement(ResultStatus.SKIPPED, explanation="Nothing was said.")
    try:
        measured = await _measured(compiled, transcript, model)
    except NothingToJudge as reason:
        return Judgement(ResultStatus.SKIPPED, explanation=str(reason))
    except NotJudged as reason:
        return Judgement(ResultStatus.ERROR, explanation=str(reason))
    except FaultError as error:
        return Judgement(ResultStatus.ERROR, explanation=f"{model.name} could not judge it: {error.message}.")
    except Exception:  # noqa: BLE001 - one broken judge must not cost a session its other results
        _log.exception("evaluation %r could not be judged", compiled.spec.name)
        return Judgement(
            ResultStatus.ERROR, explanation="Mimic itself failed to judge it; its log has the reason."
        )
    limits = RANGES[compiled.spec.metric]
    if not limits.holds(measured.value):
        text = f"{measured.value:g} is no value of {compiled.spec.metric}, which is {limits}."
        return Judgement(ResultStatus.ERROR, explanation=text, usage=measured.usage)
    return Judgement(
        ResultStatus.SCORED,
        measured.value,
        compiled.criteria.verdict(measured.value),
        measured.explanation,
        measured.evidence,
        measured.usage,
    )


async def _measured(compiled: CompiledEvaluation, transcript: Transcript, model: LanguageModel) -> Measured:
    spec = compiled.spec
    match spec.method:
        case Method.TIMESTAMP_DIFF:
            how = spec.aggregate or Aggregate.MAX
            return await _computed(
                transcript, lambda: timestamp_diff.measure(transcript, compiled.pattern, how)
            )
        case Method.REGEX_MATCH:
            pattern: Pattern = compiled.pattern or Pattern(spec.regex)
            return await _computed(
                transcript,
                lambda: regex_match.measure(transcript, pattern, spec.metric, spec.messages, spec.aggregate),
            )
        case Method.SENTIMENT_ANALYSIS:
            lines = regex_match.lines_of(transcript, spec.messages)
            how = spec.aggregate or Aggregate.MIN
            if spec.llm_prompt.strip():
                return await sentiment_analysis.measure_by_model(
                    transcript, lines, how, spec.llm_prompt, model
                )
            return await _computed(transcript, lambda: sentiment_analysis.measure(lines, how))
        case Method.LLM_MATCH:
            return await llm_match.measure(transcript, spec.llm_prompt, spec.metric, model)
        case Method.CUSTOM_SCRIPT:
            return await custom_script.measure(transcript, spec.script, spec.metric)


async def _computed(transcript: Transcript, measure: Callable[[], Measured]) -> Measured:
    """Long transcripts are read on a thread, so that they hold up nobody else's session."""
    if sum(len(line.text) for line in transcript.lines) <= _INLINE_CHARACTERS:
        return measure()
    return await asyncio.to_thread(measure)
