"""timestamp_diff: how long the agent takes to answer, by the wire times of its adapter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mimic_server.domain.evaluations import Aggregate
from mimic_server.domain.messages import Sender, Transcript, TranscriptLine
from mimic_server.evaluation.measured import (
    MAX_EVIDENCE,
    Measured,
    NothingToJudge,
    NotJudged,
    aggregated,
    counted,
)
from mimic_server.evaluation.patterns import Pattern

_NAMES = {
    Aggregate.MAX: "the slowest",
    Aggregate.MIN: "the fastest",
    Aggregate.MEAN: "the mean",
    Aggregate.P50: "the median",
    Aggregate.P95: "the 95th percentile",
}


@dataclass(frozen=True, slots=True)
class Answered:
    """One turn's answer."""

    turn: int
    milliseconds: float
    seq: int
    """The agent's message that came first."""


def measure(transcript: Transcript, pattern: Pattern | None, how: Aggregate) -> Measured:
    """Times each turn from the persona's last SENT to the agent's first byte after it.

    Args:
        transcript: What was said.
        pattern: Times only turns in which the persona said something that it matches. None: all.
        how: What becomes of the turns' times.

    Raises:
        NothingToJudge: No turn is to be timed, or none was answered.
        NotJudged: There were answers, but their wire times cannot be compared.
    """
    asked = _asked(transcript, pattern)
    if not asked:
        raise NothingToJudge(
            "No message of the persona matches the regex."
            if pattern
            else "The persona sent nothing that could be timed."
        )
    answers, silent, untimed = _answers(transcript, asked)
    if not answers and untimed:
        raise NotJudged(f"{counted(untimed, 'answer')} came, but without wire times of one clock to compare.")
    if not answers:
        raise NothingToJudge(f"{counted(len(asked), 'turn')} to be timed, but the agent answered none.")
    value = aggregated([answer.milliseconds for answer in answers], how)
    ranked = sorted(answers, key=lambda answer: answer.milliseconds, reverse=how is not Aggregate.MIN)
    if how in {Aggregate.MEAN, Aggregate.P50, Aggregate.P95}:
        of = f"{_NAMES[how]} of {counted(len(answers), 'answer')}"
    elif len(answers) == 1:
        of = f"the only answer, in turn {ranked[0].turn}"
    else:
        of = f"{_NAMES[how]} of {len(answers):,} answers, in turn {ranked[0].turn}"
    notes = [f"{value:,.0f} ms: {of}."]
    if silent:
        notes.append(f"{counted(silent, 'turn')} got no answer.")
    if untimed:
        notes.append(f"{counted(untimed, 'turn')} could not be timed.")
    return Measured(value, " ".join(notes), tuple(answer.seq for answer in ranked[:MAX_EVIDENCE]))


def _asked(transcript: Transcript, pattern: Pattern | None) -> dict[int, TranscriptLine]:
    """By turn, the persona's line that went out last, of the turns that are to be timed."""
    last: dict[int, TranscriptLine] = {}
    wanted: set[int] = set()
    for line in transcript.lines:
        if line.sender is not Sender.PERSONA or line.message.sent is None:
            continue
        known = last.get(line.turn)
        if known is None or _sent_nanos(line) >= _sent_nanos(known):
            last[line.turn] = line
        if pattern is None or pattern.found_in(line.text):
            wanted.add(line.turn)
    return {turn: line for turn, line in last.items() if turn in wanted}


def _sent_nanos(line: TranscriptLine) -> int:
    return line.message.sent.monotonic_nanos if line.message.sent else 0


def _answers(transcript: Transcript, asked: dict[int, TranscriptLine]) -> tuple[Sequence[Answered], int, int]:
    """The timed answers, how many turns were silent, and how many cannot be timed."""
    spoken: dict[int, list[TranscriptLine]] = {}
    stops: set[int] = set()
    for line in transcript.lines:
        if line.sender is Sender.AGENT:
            spoken.setdefault(line.turn, []).append(line)
        elif line.message.stop is not None:
            stops.add(line.turn)
    answers, silent, untimed = [], 0, 0
    for turn, question in asked.items():
        lines = spoken.get(turn, ())
        waits = [(_wait_ms(question, line), line.seq) for line in lines]
        known = [(wait, seq) for wait, seq in waits if wait is not None]
        if known:
            # What came before the persona had finished answers its earlier messages; alone, it is no wait.
            wait, seq = min(((w, s) for w, s in known if w >= 0), default=(0.0, known[0][1]))
            answers.append(Answered(turn, wait, seq))
        elif lines:
            untimed += 1
        elif turn not in stops:  # nobody waits for an answer to a goodbye
            silent += 1
    return answers, silent, untimed


def _wait_ms(question: TranscriptLine, answer: TranscriptLine) -> float | None:
    sent, arrived = question.message.sent, answer.message.first_byte
    return sent.ms_until(arrived) if sent is not None and arrived is not None else None
