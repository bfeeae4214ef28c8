"""Teams' scripts: what they are given, what they may return, and that none of them can do harm."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import psutil
import pytest
from mimic_server.domain.evaluations import Method, Metric, ResultStatus, Verdict
from mimic_server.domain.messages import Choice, ChoicesOffered, Sender, Stop, StopKind, Text, Transcript
from mimic_server.evaluation import custom_script
from mimic_server.evaluation.measured import Measured, NothingToJudge, NotJudged
from mimic_server.evaluation.starlark_pool import Limits, StarlarkPool

from tests.server.evaluation.specs import judged
from tests.server.transcripts import said, transcript

TALK = transcript("Hi", "Hello", "Open?", "9-17")


@pytest.fixture(scope="module")
def pool() -> Iterator[StarlarkPool]:
    pool = StarlarkPool(2, Limits(cpu_seconds=0.3, wall_seconds=2.0))
    yield pool
    pool.close()


async def run(
    pool: StarlarkPool, body: str, metric: Metric = Metric.COUNT, talk: Transcript = TALK, before: str = ""
) -> Measured:
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    return await custom_script.measure(talk, f"{before}\ndef evaluate(transcript):\n{lines}\n", metric, pool)


@pytest.mark.parametrize(
    "body, metric, measured",
    [
        ("return 3", Metric.COUNT, Measured(3, "The script returned 3.")),
        ("return 2.5", Metric.LATENCY_MS, Measured(2.5, "The script returned 2.5.")),
        ("return True", Metric.BOOLEAN, Measured(1, "The script returned True.")),
        ("return 0", Metric.BOOLEAN, Measured(0, "The script returned 0.")),
        ("return {'value': False}", Metric.BOOLEAN, Measured(0, "The script returned False.")),
        ("return {'value': 1, 'explanation': ' so '}", Metric.COUNT, Measured(1, "so")),
        (
            "return {'value': 1, 'evidence': [4, 99]}",
            Metric.COUNT,
            Measured(1, "The script returned 1.", (4,)),
        ),
        ("return len([m for m in transcript])", Metric.COUNT, Measured(4, "The script returned 4.")),
        ("return transcript[1]['first_byte_ms']", Metric.COUNT, Measured(100, "The script returned 100.")),
        ("return len(json.decode(json.encode([1])))", Metric.COUNT, Measured(1, "The script returned 1.")),
    ],
)
async def test_what_a_script_may_return(
    pool: StarlarkPool, body: str, metric: Metric, measured: Measured
) -> None:
    assert await run(pool, body, metric) == measured


async def test_what_a_script_is_given(pool: StarlarkPool) -> None:
    talk = Transcript(
        (
            said(1, Sender.AGENT, "Hello", turn=0, at=5),
            said(2, Sender.PERSONA, "Hi", turn=1, at=100),
            said(3, Sender.PERSONA, "Bye", turn=1, at=150, stop=Stop(StopKind.GOALS_REACHED)),
            said(4, Sender.AGENT, (Text("Pick"), ChoicesOffered((Choice("a", "Apples"),))), turn=1, at=200),
            said(5, Sender.AGENT, "", turn=1, at=120, replaces="m1", deleted=True),
        )
    )
    rows = custom_script.as_dicts(talk)
    assert [row["seq"] for row in rows] == [1, 2, 3, 4]
    assert rows[0] | {"text": "", "deleted": True, "edited": True, "first_byte_ms": None} == rows[0]
    assert rows[2]["stop"] is True
    assert (rows[3]["kinds"], rows[3]["choices"]) == (["text", "choices_offered"], ["Apples"])
    assert (rows[3]["text"], rows[3]["first_byte_ms"], rows[3]["sender"]) == ("Pick\n[Apples]", 50.0, "AGENT")
    keys = (await run(pool, "return {'value': 1, 'explanation': ' '.join(transcript[0])}")).explanation
    for key in keys.split():
        assert f"\n    {key} " in (custom_script.__doc__ or "")


async def test_none_says_that_it_does_not_apply(pool: StarlarkPool) -> None:
    for body in ("return None", "return {'value': None}", "pass"):
        with pytest.raises(NothingToJudge, match="returned None"):
            await run(pool, body)
    with pytest.raises(NothingToJudge, match="no number"):
        await run(pool, "return {'value': None, 'explanation': 'no number'}")


@pytest.mark.parametrize(
    "body, reason",
    [
        ("return 1 // 0", "line 3, column 12: Floor division by zero"),
        ("return transcript[0]['nothing']", "nothing"),
        ("return undefined", "`undefined` not found"),
        ("fail('no good')", "no good"),
        ("print('x')", "`print` not found"),
        ("return 'text'", "returned a str"),
        ("return [1]", "returned a list"),
        ("return evaluate", "function"),
        ("return float('nan')", "not finite"),
        ("return {'value': float('inf')}", "not finite"),
        ("return 10 * 10 * 1000000000000000000000 * int('9' * 400)", "not finite"),
        ("return {'values': 1}", "a dict that is returned has value"),
        ("return {'value': 1, 'other': 2}", "a dict that is returned has value"),
        ("return {'value': 1, 'explanation': 5}", "explanation is a string"),
        ("return {'value': 1, 'evidence': 'x'}", "evidence is a list"),
        ("return {'value': 1, 'evidence': ['x']}", "evidence is a list"),
        ("return True", "True, but count is a number"),
        ("while True:\n  pass", "while"),
        ("open('/etc/passwd')", "`open` not found"),
        ("import os", ""),
    ],
)
async def test_what_goes_wrong_is_told(pool: StarlarkPool, body: str, reason: str) -> None:
    with pytest.raises(NotJudged, match="The script") as caught:
        await run(pool, body)
    assert reason in str(caught.value)
    assert len(str(caught.value)) < 1200


@pytest.mark.parametrize(
    "body, before",
    [
        ("x = 0\nfor i in range(1000000000):\n  x += 1\nreturn x", ""),
        ("return 1", "[x for x in range(1000000000)]"),
        ("x = 7\nfor i in range(60):\n  x = x * x\nreturn x", ""),
        ("x = [1]\nfor i in range(64):\n  x = x + x\nreturn len(x)", ""),
        ("x = 'a' * 1000000\ny = []\nfor i in range(100000):\n  y.append(x + str(i))\nreturn 1", ""),
        ("return len('a' * 100000000000)", ""),
        ("return {'value': 1, 'explanation': 'x' * 50000000, 'evidence': list(range(1000000))}", ""),
        ("return len(('a' * 3000000).replace('a', 'b' * 100))", ""),
        ("return len(('a ' * 30000000).split())", ""),
        ("return len({str(i): i for i in range(10000000)})", ""),
        ("return f(0)", "def f(n):\n    return f(n + 1)"),
        ("return 1", "x = " + "-" * 19000 + "1"),
        ("x = []\nx.append(x)\nreturn x", ""),
        ("x = []\nfor i in range(100000):\n  x = [x]\nreturn x", ""),
    ],
    ids=[
        "loop", "loop at the top", "huge number", "doubling list", "memory", "long string", "output",
        "replace", "split", "dict", "recursion", "nesting", "cycle", "deep value",
    ],
)  # fmt: skip
async def test_no_script_takes_the_server_with_it(pool: StarlarkPool, body: str, before: str) -> None:
    start = time.monotonic()
    with pytest.raises(NotJudged, match="The script"):
        await run(pool, body, before=before)
    assert time.monotonic() - start < 6
    assert (await run(pool, "return 1")).value == 1


async def test_a_child_serves_many_scripts_and_remembers_none(pool: StarlarkPool) -> None:
    await asyncio.gather(*(run(pool, "return 1") for _ in range(4)))
    children = {child.pid for child in psutil.Process().children()}
    before = "seen = []"
    results = await asyncio.gather(
        *(run(pool, "transcript.append(1)\nreturn len(transcript)", before=before) for _ in range(100))
    )
    assert {result.value for result in results} == {5}
    assert {child.pid for child in psutil.Process().children()} == children
    with pytest.raises(NotJudged, match="seen"):
        await run(pool, "return len(seen)")


async def test_a_child_that_is_killed_is_replaced() -> None:
    pool = StarlarkPool(1)
    await run(pool, "return 1")
    (child,) = {child.pid for child in psutil.Process().children()} & {c._process.pid for c in pool._children}
    psutil.Process(child).kill()
    with pytest.raises(NotJudged, match="broke off"):
        await run(pool, "return 1")
    assert (await run(pool, "return 1")).value == 1
    pool.close()


async def test_children_know_no_secret(pool: StarlarkPool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    fresh = StarlarkPool(1)
    await run(fresh, "return 1")
    (child,) = fresh._children
    assert "OPENAI_API_KEY" not in psutil.Process(child._process.pid).environ()
    fresh.close()
    assert child._process.poll() is not None


@pytest.mark.parametrize(
    "returned, status, verdict",
    [
        ("len(t)", ResultStatus.SCORED, Verdict.FAIL),
        ("0", ResultStatus.SCORED, Verdict.PASS),
        ("None", ResultStatus.SKIPPED, None),
        ("nothing", ResultStatus.ERROR, None),
        ("1.5", ResultStatus.ERROR, None),
        ("-1", ResultStatus.ERROR, None),
    ],
)
async def test_is_judged_like_any_other(returned: str, status: ResultStatus, verdict: Verdict | None) -> None:
    script = f"def evaluate(t):\n  return {returned}"
    judgement = await judged(TALK, Method.CUSTOM_SCRIPT, script=script)
    assert (judgement.status, judgement.verdict) == (status, verdict)
