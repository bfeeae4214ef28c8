"""sentiment_analysis: how the messages sound, by VADER or by a language model.

VADER: Hutto and Gilbert, "VADER: A Parsimonious Rule-based Model for Sentiment Analysis of Social Media
Text", 2014. Its lexicon is English.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence

from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

from mimic_server.domain.evaluations import Aggregate
from mimic_server.domain.messages import Transcript, TranscriptLine
from mimic_server.domain.ports import LanguageModel
from mimic_server.evaluation.measured import MAX_EVIDENCE, Measured, NotJudged, aggregated, counted, quoted
from mimic_server.evaluation.tasks import SentimentTask

MAX_CHARACTERS = 4000
"""Of a message, what VADER reads: its time grows with the square of the text."""

_NAMES = {
    Aggregate.MAX: "the warmest",
    Aggregate.MIN: "the coldest",
    Aggregate.MEAN: "the mean",
    Aggregate.P50: "the median",
    Aggregate.P95: "the 95th percentile",
}


def measure(lines: Sequence[TranscriptLine], how: Aggregate) -> Measured:
    """Scores messages by VADER's compound score.

    Args:
        lines: The messages to score, at least one.
        how: What becomes of their scores.
    """
    return _measured(lines, {line.seq: sentiment(line.text) for line in lines}, how, "by VADER")


async def measure_by_model(
    transcript: Transcript,
    lines: Sequence[TranscriptLine],
    how: Aggregate,
    question: str,
    model: LanguageModel,
) -> Measured:
    """Has a language model score messages, all in one call.

    Raises:
        NotJudged: The model scored none of the messages that it was asked about.
        FaultError: The model failed.
    """
    task = SentimentTask(question, transcript.lines, tuple(line.seq for line in lines))
    answer = await model.answer(task)
    scores = {item.seq: item.score for item in answer.value.scores}
    scored = [line for line in lines if line.seq in scores]
    if not scored:
        raise NotJudged(f"{model.name} scored none of the {counted(len(lines), 'message')}.")
    measured = _measured(scored, scores, how, f"by {model.name}")
    text = f"{measured.explanation} {answer.value.explanation.strip()}".strip()
    if len(scored) < len(lines):
        text += f" {counted(len(lines) - len(scored), 'message')} got no score."
    return Measured(measured.value, text, measured.evidence, answer.usage)


def sentiment(text: str) -> float:
    """VADER's compound score of a text, from -1 to 1."""
    return _score(text[:MAX_CHARACTERS])


@functools.lru_cache(maxsize=2048)
def _score(text: str) -> float:
    score: float = _analyzer().polarity_scores(text)["compound"]
    return score


@functools.cache
def _analyzer() -> SentimentIntensityAnalyzer:
    return SentimentIntensityAnalyzer()


def _measured(
    lines: Sequence[TranscriptLine], scores: Mapping[int, float], how: Aggregate, judge: str
) -> Measured:
    value = aggregated([scores[line.seq] for line in lines], how)
    warmest = how is Aggregate.MAX
    ranked = sorted(lines, key=lambda line: scores[line.seq], reverse=warmest)
    first = ranked[0]
    text = f"{value:.2f}: {_NAMES[how]} of {counted(len(lines), 'message')} {judge}"
    text += f"; {'warmest' if warmest else 'coldest'} is message {first.seq}: {quoted(first.text)}."
    return Measured(value, text, tuple(line.seq for line in ranked[:MAX_EVIDENCE]))
