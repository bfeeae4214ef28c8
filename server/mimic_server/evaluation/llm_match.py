"""LLM_match: a language model answers a question about the transcript, in one structured call."""

from __future__ import annotations

from mimic_server.domain.evaluations import Metric
from mimic_server.domain.messages import Sender, Transcript
from mimic_server.domain.ports import LanguageModel
from mimic_server.evaluation.measured import MAX_EVIDENCE, Measured, NothingToJudge
from mimic_server.evaluation.tasks import JudgementTask


async def measure(transcript: Transcript, question: str, metric: Metric, model: LanguageModel) -> Measured:
    """Asks the model.

    Raises:
        NothingToJudge: The agent said nothing.
        FaultError: The model failed.
    """
    if not any(line.sender is Sender.AGENT for line in transcript.lines):
        raise NothingToJudge("The agent said nothing.")
    answer = await model.answer(JudgementTask(question, metric, transcript.lines))
    seqs = {line.seq for line in transcript.lines}
    evidence = tuple(dict.fromkeys(seq for seq in answer.value.evidence if seq in seqs))
    return Measured(
        float(answer.value.value), answer.value.explanation.strip(), evidence[:MAX_EVIDENCE], answer.usage
    )
