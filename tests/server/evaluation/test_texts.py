"""regex_match and sentiment_analysis."""

from __future__ import annotations

import time
from typing import Any

import pytest
from mimic_server.domain.errors import FaultError
from mimic_server.domain.evaluations import Method, Metric, ResultStatus, Verdict
from mimic_server.domain.messages import Sender, Transcript, Usage
from mimic_server.domain.ports import A, Answer, Task
from mimic_server.evaluation.measured import MAX_EVIDENCE
from mimic_server.evaluation.patterns import MAX_MATCHES
from mimic_server.evaluation.tasks import SentimentAnswer
from mimic_server.llm.faults import model_fault

from tests.server.evaluation.specs import judged
from tests.server.transcripts import said, transcript

TALK = transcript(
    "Where is it?",
    "What is your order number?",
    "NW-1",
    "Your order number, please? Order number?",
    "Thanks",
    "Bye!",
)
NUMBER = "(?i)order number"
HOLDS = {"metric": Metric.BOOLEAN, "passes": "true"}


@pytest.mark.parametrize(
    "fields, value, evidence, text",
    [
        ({}, 3, (2, 4), '3 matches in 3 agent messages; first in message 2: "order number".'),
        ({"regex": "nothing"}, 0, (), "0 matches in 3 agent messages."),
        ({"aggregate": "max"}, 2, (2, 4), None),
        ({"aggregate": "mean"}, 1, (2, 4), None),
        ({"messages": "persona", "regex": "W-"}, 1, (3,), None),
        ({"messages": "both", "regex": r"\?$"}, 3, (1, 2, 4), None),
        ({**HOLDS}, 1, (2, 4), '2 of 3 agent messages match; first in message 2: "order number".'),
        ({**HOLDS, "aggregate": "min"}, 0, (6,), None),
        ({**HOLDS, "regex": "nothing"}, 0, (), "0 of 3 agent messages match."),
        ({"metric": Metric.ACCURACY_PERCENTAGE, "passes": ">= 60"}, 200 / 3, (2, 4), None),
    ],
)
async def test_regex(
    fields: dict[str, Any], value: float, evidence: tuple[int, ...], text: str | None
) -> None:
    judgement = await judged(TALK, Method.REGEX_MATCH, **{"regex": NUMBER, **fields})
    assert judgement.value == pytest.approx(value)
    assert judgement.evidence == evidence
    assert text is None or judgement.explanation == text


async def test_what_was_taken_back_is_not_read_and_edits_are() -> None:
    talk = Transcript(
        (
            said(1, Sender.AGENT, "stupid", turn=1),
            said(2, Sender.AGENT, "stupid", turn=1),
            said(3, Sender.AGENT, "", turn=1, replaces="m1", deleted=True),
            said(4, Sender.AGENT, "friend", turn=1, replaces="m2"),
        )
    )
    assert (await judged(talk, Method.REGEX_MATCH, regex="stupid")).value == 0
    assert (await judged(talk, Method.REGEX_MATCH, regex="friend")).evidence == (2,)


@pytest.mark.parametrize("method", [Method.REGEX_MATCH, Method.SENTIMENT_ANALYSIS])
async def test_no_message_to_read(method: Method) -> None:
    talk = Transcript((said(1, Sender.PERSONA, "hi", turn=1),))
    assert (await judged(talk, method)).status is ResultStatus.SKIPPED
    assert (await judged(talk, method, messages="persona")).status is ResultStatus.SCORED
    assert (await judged(Transcript(()), method)).status is ResultStatus.SKIPPED


@pytest.mark.parametrize("regex", ["(a?){200}a{200}$", "(x+x+)+y", "(.|[ab]|a|b){99}z", "(a|aa)+$", "b*?"])
async def test_no_regex_takes_long(regex: str) -> None:
    long = transcript("hi", "ab" * 50_000)
    start = time.monotonic()
    judgement = await judged(long, Method.REGEX_MATCH, regex=regex)
    assert time.monotonic() - start < 8
    assert judgement.status is ResultStatus.SCORED


async def test_matches_are_counted_up_to_a_limit() -> None:
    judgement = await judged(transcript("hi", "é" * 5000), Method.REGEX_MATCH, regex="é")
    assert judgement.value == MAX_MATCHES
    assert "counted up to 1,000" in judgement.explanation


async def test_evidence_is_bounded() -> None:
    judgement = await judged(transcript(*["x"] * 40), Method.REGEX_MATCH, regex="x")
    assert judgement.value == 20
    assert len(judgement.evidence) == MAX_EVIDENCE


MOODS = transcript(
    "Hi", "Great, I am happy to help!", "Refund", "You are stupid and pathetic.", "Bye", "Order NW-1."
)


@pytest.mark.parametrize(
    "how, evidence, verdict",
    [
        (None, (4, 6, 2), Verdict.FAIL),
        ("min", (4, 6, 2), Verdict.FAIL),
        ("max", (2, 6, 4), Verdict.PASS),
        ("p50", (4, 6, 2), Verdict.PASS),
    ],
)
async def test_sentiment_by_vader(how: str | None, evidence: tuple[int, ...], verdict: Verdict) -> None:
    judgement = await judged(MOODS, Method.SENTIMENT_ANALYSIS, aggregate=how)
    assert (judgement.evidence, judgement.verdict) == (evidence, verdict)
    assert "by VADER" in judgement.explanation
    assert judgement.usage is None


async def test_sentiment_of_a_very_long_message_is_quick() -> None:
    start = time.monotonic()
    judgement = await judged(transcript("hi", "good but bad " * 40_000), Method.SENTIMENT_ANALYSIS)
    assert judgement.status is ResultStatus.SCORED
    assert time.monotonic() - start < 3


class Critic:
    """A model that scores as it is told."""

    name = "critic"
    scripted = False

    def __init__(self, *scores: tuple[int, float], fails: bool = False) -> None:
        self._scores, self._fails = scores, fails

    async def answer(self, task: Task[A]) -> Answer[A]:
        if self._fails:
            raise model_fault("MODEL_REFUSED", "critic refused", "Ask another")
        scores = [{"seq": seq, "score": score} for seq, score in self._scores]
        value = task.answer_type.model_validate({"explanation": "I feel it.", "scores": scores})
        assert isinstance(value, SentimentAnswer)
        return Answer(value, Usage(10, 5, 0, 1))

    async def close(self) -> None: ...


async def test_sentiment_by_a_model() -> None:
    asked = {"llm_prompt": "Look at the tone."}
    judgement = await judged(MOODS, Method.SENTIMENT_ANALYSIS, Critic((2, 0.9), (4, -1), (99, -1)), **asked)
    assert (judgement.value, judgement.evidence, judgement.verdict) == (-1, (4, 2), Verdict.FAIL)
    assert judgement.usage == Usage(10, 5, 0, 1)
    assert "by critic" in judgement.explanation
    assert "1 message got no score" in judgement.explanation
    judgement = await judged(MOODS, Method.SENTIMENT_ANALYSIS, Critic((99, -1)), **asked)
    assert (judgement.status, judgement.verdict) == (ResultStatus.ERROR, None)
    judgement = await judged(MOODS, Method.SENTIMENT_ANALYSIS, Critic(fails=True), **asked)
    assert judgement.status is ResultStatus.ERROR
    assert "critic refused" in judgement.explanation


def test_a_fault_is_a_fault() -> None:
    assert isinstance(model_fault("X", "y"), FaultError)
