"""Judges by keywords and patterns what a language model would be asked, and says so in each explanation."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from mimic_server.domain.evaluations import Metric
from mimic_server.domain.messages import Sender, TranscriptLine
from mimic_server.evaluation.measured import counted, quoted
from mimic_server.evaluation.sentiment_analysis import sentiment
from mimic_server.evaluation.tasks import (
    JudgementAnswer,
    JudgementTask,
    MessageScore,
    SentimentAnswer,
    SentimentTask,
)
from mimic_server.llm.scripted.facts import stems
from mimic_server.llm.scripted.reading import Kind, read
from mimic_server.llm.scripted.relevance import asks, relates, without_echo

_HOSTILE = -0.6
"""A message that VADER scores below this is taken for rude."""
_MANNERS = re.compile(
    r"\b(?:im)?polite|\brude|\b(?:un)?friendl|\bcourte|respect|\btone\b|insult|hostil|\bkind\b|\bmanner",
    re.IGNORECASE,
)
_MEMORY = re.compile(
    r"\bagain\b|\brepeat|\btwice\b|\bforg[eo]t|\bremember|already (?:told|gave|given)|second time",
    re.IGNORECASE,
)
_HELP = re.compile(
    r"answer|resolv|\bhelp|solv|\baddressed|accura|correct|\bcomplete|useful|\bgoal|request|satisf|respond",
    re.IGNORECASE,
)
_NEGATIVE = re.compile(
    r"\brude|insult|hostil|unfriendl|impolite|disrespect|\bforget|\brepeat|\bagain\b|\btwice\b|\bfail"
    r"|unanswered|\bignor|\bunhelpful",
    re.IGNORECASE,
)
_NEVER = re.compile(r"\b(?:never|not|avoid\w*|without|free of|n't|no)\b|n't\b", re.IGNORECASE)
_NUMBER = re.compile(r"\d{4,}|\b[A-Z]{1,6}-?\d{3,}\b", re.IGNORECASE)
_CONTEXT = 1000
_FAILED = frozenset({Kind.FALLBACK, Kind.NOT_FOUND, Kind.REFUSAL, Kind.SILENCE})


@dataclass(frozen=True, slots=True)
class _Finding:
    """What was looked at, and where the agent failed in it."""

    aspect: str
    looked_at: int
    failures: tuple[TranscriptLine, ...]
    silent: int = 0
    """Failures without a message to show."""

    @property
    def failed(self) -> int:
        return len(self.failures) + self.silent


def judge(task: JudgementTask) -> JudgementAnswer:
    """Answers a question about a transcript."""
    if task.metric is Metric.SENTIMENT_SCORE:
        texts = [line for line in task.lines if line.sender is Sender.AGENT and line.text]
        scores = {line.seq: sentiment(line.text) for line in texts}
        mean = sum(scores.values()) / len(scores) if scores else 0.0
        coldest = sorted(scores, key=lambda seq: scores[seq])[:3]
        return _answer(task, mean, f"mean of {counted(len(scores), 'agent message')} by VADER", coldest)
    finding = _find(task)
    share = 1 - finding.failed / finding.looked_at if finding.looked_at else 1.0
    text = f"{finding.aspect} in {finding.failed} of {finding.looked_at} places"
    if finding.failures:
        text += f", first in message {finding.failures[0].seq}: {quoted(finding.failures[0].text)}"
    match task.metric:
        case Metric.ACCURACY_PERCENTAGE:
            value = 100 * share
        case Metric.COUNT:
            value = finding.failed
        case _:
            negative = _NEGATIVE.search(task.question) and not _NEVER.search(task.question)
            value = (finding.failed > 0) if negative else share >= _wanted(task.question)
    return _answer(task, value, text, [line.seq for line in finding.failures])


def score(task: SentimentTask) -> SentimentAnswer:
    """Scores messages by VADER."""
    asked = set(task.seqs)
    scores = tuple(
        MessageScore(seq=line.seq, score=sentiment(line.text)) for line in task.lines if line.seq in asked
    )
    return SentimentAnswer(explanation="Scripted judge, by VADER (no language model).", scores=scores)


def _answer(task: JudgementTask, value: float, text: str, evidence: Sequence[int]) -> JudgementAnswer:
    return task.answer_type.model_validate(
        {
            "explanation": f"Scripted judge, by keywords (no language model): {text}.",
            "evidence": tuple(evidence[:5]),
            "value": value,
        }
    )


def _wanted(question: str) -> float:
    """How much of what is asked must hold for a yes."""
    return 0.5 if re.search(r"\b(?:most|mostly|mainly|generally|overall)\b", question, re.IGNORECASE) else 1.0


def _find(task: JudgementTask) -> _Finding:
    """Looks at what the question names first; what follows is mostly how to count it."""
    named = [
        (match.start(), find)
        for pattern, find in ((_MANNERS, _manners), (_MEMORY, _memory), (_HELP, _help))
        if (match := pattern.search(task.question))
    ]
    if not named:
        return _topic(task.question, task.lines)
    _, find = min(named, key=lambda item: item[0])
    return find(task.lines)


def _manners(lines: Sequence[TranscriptLine]) -> _Finding:
    spoken = [line for line in lines if line.sender is Sender.AGENT and line.text]
    rude = [line for line in spoken if read(line.text).rude or sentiment(line.text) <= _HOSTILE]
    return _Finding("rude words", len(spoken), tuple(rude))


def _memory(lines: Sequence[TranscriptLine]) -> _Finding:
    """Where the agent asks for a number that the customer has given, or for anything a second time."""
    given, asked_before = False, set[str]()
    asks, repeated = 0, []
    for line in lines:
        if line.sender is Sender.PERSONA:
            given = given or _NUMBER.search(line.text) is not None
            continue
        slots = set(read(line.text).slots)
        if slots:
            asks += 1
            if slots & asked_before or (given and slots & {"order", "reference"}):
                repeated.append(line)
            asked_before |= slots
    return _Finding("what the customer had said was asked for again", max(asks, 1), tuple(repeated))


def _help(lines: Sequence[TranscriptLine]) -> _Finding:
    """Turns in which the customer got no answer to what was asked.

    That is silence, a shrug, an insult, an echo, something else, or the same question again.
    """
    turns: dict[int, list[TranscriptLine]] = {}
    asked: dict[int, list[TranscriptLine]] = {}
    for line in lines:
        (turns if line.sender is Sender.AGENT else asked).setdefault(line.turn, []).append(line)
    repeated = {line.seq for line in _memory(lines).failures}
    failures: list[TranscriptLine] = []
    silent = counted_turns = 0
    pending = context = ""
    before: set[str] = set()
    for turn in sorted(asked):
        if any(line.message.stop is not None for line in asked[turn]):
            continue
        counted_turns += 1
        heard = [line.text for line in asked[turn]]
        if asks(" ".join(heard)):
            context, pending = f"{pending} {context}"[:_CONTEXT], " ".join(heard)
        said = turns.get(turn, [])
        if not said:
            silent += 1
            continue
        own = "\n".join(without_echo(line.text, heard) for line in said).strip()
        reading = read(own)
        again = own in before and reading.kind is not Kind.ANSWER
        before.add(own)
        if reading.rude or reading.kind in _FAILED or any(line.seq in repeated for line in said):
            failures.append(said[0])
        elif pending:
            unrelated = reading.kind is Kind.ANSWER and not relates(own, pending, context)
            if unrelated or again or reading.kind is Kind.NOTHING:
                failures.append(said[0])
            elif reading.kind is Kind.ANSWER:
                context, pending = pending, ""
    return _Finding("no proper answer to the request", counted_turns, tuple(failures), silent)


def _topic(question: str, lines: Sequence[TranscriptLine]) -> _Finding:
    """Whether the question's own words occur in what the agent says."""
    wanted = stems(question)
    spoken = [line for line in lines if line.sender is Sender.AGENT]
    if any(wanted & stems(line.text) for line in spoken) or not wanted:
        return _Finding("none of the question's words", len(spoken), ())
    return _Finding("none of the question's words", len(spoken), tuple(spoken))
