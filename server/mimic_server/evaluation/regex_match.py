"""regex_match: what a regular expression finds in the messages."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from mimic_server.domain.evaluations import Aggregate, Metric, WhoseMessages
from mimic_server.domain.messages import Sender, Transcript, TranscriptLine
from mimic_server.evaluation.measured import (
    MAX_EVIDENCE,
    Measured,
    NothingToJudge,
    aggregated,
    counted,
    quoted,
)
from mimic_server.evaluation.patterns import MAX_MATCHES, Pattern

_WHOSE = {
    WhoseMessages.AGENT: "agent message",
    WhoseMessages.PERSONA: "persona message",
    WhoseMessages.BOTH: "message",
}


def lines_of(transcript: Transcript, whose: WhoseMessages) -> Sequence[TranscriptLine]:
    """The lines to read: not what was taken back.

    Raises:
        NothingToJudge: There are none.
    """
    senders = {
        WhoseMessages.AGENT: {Sender.AGENT},
        WhoseMessages.PERSONA: {Sender.PERSONA},
        WhoseMessages.BOTH: {Sender.AGENT, Sender.PERSONA},
    }[whose]
    lines = [line for line in transcript.lines if line.sender in senders and not line.deleted]
    if not lines:
        raise NothingToJudge(f"There is no {_WHOSE[whose]} in the transcript.")
    return lines


def measure(
    transcript: Transcript, pattern: Pattern, metric: Metric, whose: WhoseMessages, how: Aggregate | None
) -> Measured:
    """Searches each message.

    Args:
        transcript: What was said.
        pattern: What to search for.
        metric: COUNT: how often it is found. BOOLEAN: whether it is found. ACCURACY_PERCENTAGE: the share of
            messages in which it is found.
        whose: Whose messages to search.
        how: What becomes of the messages' values. None: their sum, their maximum, their mean.

    Raises:
        NothingToJudge: There is no message to search.
    """
    lines = lines_of(transcript, whose)
    limit = None if metric is Metric.COUNT else 1
    found = [(line, list(itertools.islice(pattern.matches(line.text), limit))) for line in lines]
    hits = [(line, matches) for line, matches in found if matches]
    values = [float(len(matches)) for _, matches in found]
    of = counted(len(lines), _WHOSE[whose])
    if metric is Metric.COUNT:
        value = sum(values) if how is None else aggregated(values, how)
        times = int(sum(values))
        text = f"{times:,} {'match' if times == 1 else 'matches'} in {of}"
        if max(values) >= MAX_MATCHES:
            text += f", counted up to {MAX_MATCHES:,} in one"
    else:
        text = f"{len(hits):,} of {of} {'matches' if len(hits) == 1 else 'match'}"
        if metric is Metric.BOOLEAN:
            value = aggregated(values, how or Aggregate.MAX)
        else:
            value = 100 * aggregated(values, how or Aggregate.MEAN)
    if hits:
        line, matches = hits[0]
        text += f"; first in message {line.seq}: {quoted(matches[0])}"
    telling = [line for line, _ in hits]
    if how is Aggregate.MIN and len(hits) < len(lines):
        telling = [line for line, matches in found if not matches]
        text += f"; not in message {telling[0].seq}"
    return Measured(value, f"{text}.", tuple(line.seq for line in telling[:MAX_EVIDENCE]))
