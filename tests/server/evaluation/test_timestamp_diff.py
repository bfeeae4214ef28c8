"""Latency: from the persona's last SENT of a turn to the agent's first byte, by one clock."""

from __future__ import annotations

from typing import Any

import pytest
from mimic_server.domain.evaluations import Judgement, Method, ResultStatus, Verdict
from mimic_server.domain.messages import Sender, Stop, StopKind, Transcript

from tests.server.evaluation.specs import judged
from tests.server.transcripts import moment, said, transcript

TALK = transcript("Hi", "Hello", "Open?", "9-17", "Thanks", "Bye", waits=(100, 2500, 300))


async def timed(talk: Transcript, **fields: Any) -> Judgement:
    return await judged(talk, Method.TIMESTAMP_DIFF, **fields)


@pytest.mark.parametrize(
    "how, value, evidence, text",
    [
        (None, 2500, (4, 6, 2), "2,500 ms: the slowest of 3 answers, in turn 2."),
        ("max", 2500, (4, 6, 2), "2,500 ms: the slowest of 3 answers, in turn 2."),
        ("min", 100, (2, 6, 4), "100 ms: the fastest of 3 answers, in turn 1."),
        ("mean", 2900 / 3, (4, 6, 2), "967 ms: the mean of 3 answers."),
        ("p50", 300, (4, 6, 2), "300 ms: the median of 3 answers."),
        ("p95", 2500, (4, 6, 2), "2,500 ms: the 95th percentile of 3 answers."),
    ],
)
async def test_aggregates(how: str | None, value: float, evidence: tuple[int, ...], text: str) -> None:
    judgement = await timed(TALK, aggregate=how)
    assert judgement.value == pytest.approx(value)
    assert (judgement.evidence, judgement.explanation) == (evidence, text)
    assert judgement.verdict is (Verdict.PASS if value <= 1000 else Verdict.FAIL)
    assert judgement.usage is None


async def test_only_answers_to_what_matches() -> None:
    judgement = await timed(TALK, regex="(?i)hi|thanks")
    assert (judgement.value, judgement.evidence) == (300, (6, 2))
    assert (await timed(TALK, regex="nothing")).status is ResultStatus.SKIPPED
    assert "only answer, in turn 2" in (await timed(TALK, regex="Open")).explanation


P, A = Sender.PERSONA, Sender.AGENT


@pytest.mark.parametrize(
    "messages, value, evidence",
    [
        ([(P, 1, 0), (P, 1, 500), (A, 1, 700), (A, 1, 900)], 200, (3,)),
        ([(P, 1, 0), (A, 1, 100), (P, 1, 500), (A, 1, 900)], 400, (4,)),
        ([(P, 1, 500), (P, 1, 0), (A, 1, 900)], 400, (3,)),
        ([(P, 1, 0), (A, 1, 100), (P, 1, 500)], 0, (2,)),
        ([(A, 0, 0), (P, 1, 100), (A, 1, 250)], 150, (3,)),
        ([(P, 1, 0), (A, 1, 100), (A, 1, 90000)], 100, (2,)),
    ],
    ids=["burst", "answered between", "out of order", "answered before the end", "spoke first", "several"],
)  # fmt: skip
async def test_what_is_one_turns_wait(
    messages: list[tuple[Sender, int, float]], value: float, evidence: tuple[int, ...]
) -> None:
    talk = Transcript(
        tuple(said(i, who, "x", turn=turn, at=at) for i, (who, turn, at) in enumerate(messages, 1))
    )
    judgement = await timed(talk)
    assert (judgement.value, judgement.evidence) == (value, evidence)


async def test_silent_turns_are_noted_but_for_the_goodbye() -> None:
    talk = Transcript(
        (
            said(1, P, "hi", turn=1, at=0),
            said(2, A, "hello", turn=1, at=100),
            said(3, P, "there?", turn=2, at=1000),
            said(4, P, "bye", turn=3, at=2000, stop=Stop(StopKind.GOALS_REACHED)),
        )
    )
    assert (await timed(talk)).explanation == "100 ms: the only answer, in turn 1. 1 turn got no answer."


async def test_nothing_to_time() -> None:
    silent = Transcript((said(1, P, "hi", turn=1, at=0),))
    unsent = Transcript((said(1, P, "hi", turn=1), said(2, A, "x", turn=1, at=5)))
    for talk in (silent, unsent, Transcript((said(1, A, "x", turn=0, at=5),))):
        judgement = await timed(talk)
        assert (judgement.status, judgement.value, judgement.verdict) == (ResultStatus.SKIPPED, None, None)
        assert judgement.explanation


async def test_times_of_two_clocks_are_never_compared() -> None:
    talk = Transcript((said(1, P, "hi", turn=1, at=0), said(2, A, "x", turn=1, at=moment(5, "other"))))
    judgement = await timed(talk)
    assert (judgement.status, judgement.verdict) == (ResultStatus.ERROR, None)
    assert "clock" in judgement.explanation
    more = (*talk.messages, said(3, P, "hi", turn=2, at=100), said(4, A, "x", turn=2, at=130))
    judgement = await timed(Transcript(more))
    assert (judgement.value, judgement.verdict) == (30, Verdict.PASS)
    assert "1 turn could not be timed" in judgement.explanation
