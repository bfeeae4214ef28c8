"""What a method hands back, and how values of several messages or turns become one."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from mimic_server.domain.evaluations import Aggregate
from mimic_server.domain.messages import Usage

MAX_EVIDENCE = 5


@dataclass(frozen=True, slots=True)
class Measured:
    """A value, and what shows it."""

    value: float
    explanation: str
    evidence: tuple[int, ...] = ()
    usage: Usage | None = None


class NothingToJudge(Exception):  # noqa: N818 - an outcome, handled by the judge
    """The evaluation does not apply to the transcript; the text says why."""


class NotJudged(Exception):  # noqa: N818 - an outcome, handled by the judge
    """The evaluation could not be judged; the text says why."""


def aggregated(values: Sequence[float], how: Aggregate) -> float:
    """Several values as one; at least one is given.

    Percentiles are by nearest rank, so that each is a value that occurred.
    """
    match how:
        case Aggregate.MAX:
            return max(values)
        case Aggregate.MIN:
            return min(values)
        case Aggregate.MEAN:
            return statistics.fmean(values)
        case Aggregate.P50:
            return _percentile(values, 50)
        case Aggregate.P95:
            return _percentile(values, 95)


def counted(number: int, noun: str) -> str:
    """A number with its noun: "1 answer", "2 answers"."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def quoted(text: str, limit: int = 80) -> str:
    """A text in quotation marks on one line, cut where it is long."""
    line = " ".join(text.split())
    return f'"{line if len(line) <= limit else line[: limit - 1].rstrip() + "…"}"'


def _percentile(values: Sequence[float], percent: int) -> float:
    return sorted(values)[max(math.ceil(len(values) * percent / 100), 1) - 1]
