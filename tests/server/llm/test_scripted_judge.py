"""The scripted judge: honest about what it is, and right about plain cases."""

from __future__ import annotations

import pytest
from mimic_server.domain.errors import FaultError
from mimic_server.domain.evaluations import Metric
from mimic_server.evaluation.tasks import JudgementTask, SentimentTask
from mimic_server.llm.scripted import ScriptedModel

from tests.server.transcripts import transcript

RUDE = transcript("I want a refund", "What a stupid question, it is pathetic.", "Bye", "Goodbye!")
KIND = transcript(
    "Where is NW-10234?", "Your tent is on its way, it comes tomorrow.", "Thanks", "You're welcome!"
)
FORGETFUL = transcript(
    "Where is my order?", "What is your order number?", "NW-10234", "Your tent is on its way to you.",
    "When?", "What is your order number?",
)  # fmt: skip
SHRUGS = transcript("Where is it?", "Sorry, I did not get that.", "My tent!", "Could you rephrase that?")


@pytest.mark.parametrize(
    "talk, question, metric, value, evidence",
    [
        (RUDE, "Is the agent polite?", Metric.BOOLEAN, False, (2,)),
        (KIND, "Is the agent polite?", Metric.BOOLEAN, True, ()),
        (RUDE, "Is the agent rude?", Metric.BOOLEAN, True, (2,)),
        (RUDE, "Is the agent never rude?", Metric.BOOLEAN, False, (2,)),
        (RUDE, "How often is the agent rude?", Metric.COUNT, 1, (2,)),
        (RUDE, "How polite is the agent?", Metric.ACCURACY_PERCENTAGE, 50, (2,)),
        (FORGETFUL, "Does the agent forget what it was told?", Metric.BOOLEAN, True, (6,)),
        (FORGETFUL, "Does the agent never ask again for what it was told?", Metric.BOOLEAN, False, (6,)),
        (KIND, "Does the agent forget what it was told?", Metric.BOOLEAN, False, ()),
        (SHRUGS, "Did the agent answer every request?", Metric.BOOLEAN, False, (2, 4)),
        (KIND, "Did the agent answer every request?", Metric.BOOLEAN, True, ()),
        (FORGETFUL, "What share of requests was answered?", Metric.ACCURACY_PERCENTAGE, 200 / 3, (6,)),
        (KIND, "Is the tent mentioned?", Metric.BOOLEAN, True, ()),
        (KIND, "Are bicycles mentioned?", Metric.BOOLEAN, False, (2, 4)),
    ],
)  # fmt: skip
async def test_judges(
    talk: object, question: str, metric: Metric, value: float, evidence: tuple[int, ...]
) -> None:
    lines = talk.lines  # type: ignore[attr-defined]
    answer = (await ScriptedModel().answer(JudgementTask(question, metric, lines))).value
    assert answer.value == pytest.approx(value)
    assert answer.evidence == evidence
    assert answer.explanation.startswith("Scripted judge, by keywords (no language model): ")


async def test_scores_sentiment() -> None:
    cold = (await ScriptedModel().answer(JudgementTask("?", Metric.SENTIMENT_SCORE, RUDE.lines))).value
    warm = (await ScriptedModel().answer(JudgementTask("?", Metric.SENTIMENT_SCORE, KIND.lines))).value
    assert cold.value < warm.value
    scores = (await ScriptedModel().answer(SentimentTask("?", RUDE.lines, (2,)))).value.scores
    assert [score.seq for score in scores] == [2]
    assert scores[0].score < -0.5


async def test_costs_nothing() -> None:
    answer = await ScriptedModel().answer(JudgementTask("?", Metric.BOOLEAN, RUDE.lines))
    assert answer.usage.calls == answer.usage.prompt_tokens == 0


async def test_says_what_it_cannot_do() -> None:
    class Other:
        name = "other"
        answer_type = JudgementTask

        def messages(self) -> list[object]:
            return []

    with pytest.raises(FaultError, match="no script for the task other"):
        await ScriptedModel().answer(Other())  # type: ignore[arg-type]


PIZZA = "Your pizza comes in 30 minutes."
WANTS = (
    "Where is my order NW-10234?",
    "Get me a refund for the damaged tent, please?",
    "Are you open on Saturday?",
)
USEFUL = (
    "Order NW-10234 is on its way with the carrier.",
    "Certainly, your refund for the tent is done.",
    "Yes, on Saturday from 10 am to 4 pm.",
)


@pytest.mark.parametrize(
    "replies, low, high",
    [((PIZZA,) * 3, 0, 0), (tuple(f"I heard: {want}" for want in WANTS), 0, 0), (USEFUL, 100, 100)],
)
async def test_counts_as_answered_only_what_relates(
    replies: tuple[str, ...], low: float, high: float
) -> None:
    talk = transcript(*(text for pair in zip(WANTS, replies, strict=True) for text in pair))
    task = JudgementTask("What share of requests was answered?", Metric.ACCURACY_PERCENTAGE, talk.lines)
    answer = (await ScriptedModel().answer(task)).value
    assert low <= answer.value <= high
    assert ("no proper answer to the request in 3 of 3" in answer.explanation) is (high == 0)
