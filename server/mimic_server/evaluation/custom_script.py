"""custom_script: a script of the team's own reads the transcript.

The script is Starlark (bazelbuild/starlark, `spec.md`) and defines `evaluate(transcript)`. It returns the
value (a number, or a bool for the metric boolean), or a dict of `value`, `explanation` (a string) and
`evidence` (a list of seqs, the most telling first); None says that it does not apply to this session. It
runs in a process of its own, with limits on time and memory, and reads nothing but the transcript: a list of
dicts, one a message, with

    seq             1, 2, 3 ...
    turn            1, 2, 3 ...; 0 where the agent spoke first
    sender          "PERSONA" or "AGENT"
    text            what a person reads in it
    kinds           kinds of its parts: "text", "media", "choices_offered", "choice_taken" ...
    choices         titles of the choices that it offers
    first_byte_ms   agent's messages: milliseconds from the persona's last message of the turn until its first
                    byte came; negative where it came before; None: not known
    last_byte_ms    the same for its last byte
    edited          True: the text is what an edit left
    deleted         True: it was taken back; the text is empty
    stop            True: the persona decided to stop with it
"""

from __future__ import annotations

import asyncio
from typing import Any

from mimic_server.domain.evaluations import Metric
from mimic_server.domain.messages import ChoicesOffered, Sender, Transcript, WireTime
from mimic_server.evaluation.measured import MAX_EVIDENCE, Measured, NothingToJudge, NotJudged
from mimic_server.evaluation.starlark_pool import ChildFailed, StarlarkPool, shared


async def measure(
    transcript: Transcript, script: str, metric: Metric, pool: StarlarkPool | None = None
) -> Measured:
    """Runs the script.

    Args:
        transcript: What was said.
        script: The script.
        metric: BOOLEAN takes a bool, 0 or 1; the others a number.
        pool: Where it runs. None: on the process's own pool.

    Raises:
        NothingToJudge: The script returned None.
        NotJudged: It failed, took too much, or returned something else.
    """
    pool = pool or shared
    loop = asyncio.get_running_loop()
    try:
        answer = await loop.run_in_executor(pool.threads, pool.run, script, as_dicts(transcript))
    except ChildFailed as failed:
        raise NotJudged(f"The script {failed}.") from None
    if "error" in answer:
        raise NotJudged(f"The script failed: {answer['error']}.")
    value, explanation = answer["value"], answer["explanation"].strip()
    if value is None:
        raise NothingToJudge(explanation or "The script returned None.")
    if isinstance(value, bool) and metric is not Metric.BOOLEAN:
        raise NotJudged(f"The script returned {value}, but {metric} is a number.")
    if not explanation:
        explanation = f"The script returned {value if isinstance(value, bool) else format(value, ',g')}."
    seqs = {line.seq for line in transcript.lines}
    evidence = tuple(seq for seq in answer["evidence"] if seq in seqs)
    return Measured(float(value), explanation, evidence[:MAX_EVIDENCE])


def as_dicts(transcript: Transcript) -> list[dict[str, Any]]:
    """A transcript as scripts see it."""
    last_sent: dict[int, WireTime] = {}
    for line in transcript.lines:
        sent = line.message.sent
        if sent is not None and line.sender is Sender.PERSONA:
            known = last_sent.get(line.turn)
            if known is None or sent.monotonic_nanos >= known.monotonic_nanos:
                last_sent[line.turn] = sent
    rows = []
    for line in transcript.lines:
        message, sent = line.message, last_sent.get(line.turn)
        parts = message.parts
        rows.append(
            {
                "seq": line.seq,
                "turn": line.turn,
                "sender": str(line.sender),
                "text": line.text,
                "kinds": [part.kind for part in parts],
                "choices": [
                    c.title or c.id for p in parts if isinstance(p, ChoicesOffered) for c in p.choices
                ],
                "first_byte_ms": _since(sent, message.first_byte),
                "last_byte_ms": _since(sent, message.last_byte),
                "edited": line.edited,
                "deleted": line.deleted,
                "stop": message.stop is not None,
            }
        )
    return rows


def _since(sent: WireTime | None, then: WireTime | None) -> float | None:
    return sent.ms_until(then) if sent is not None and then is not None else None
