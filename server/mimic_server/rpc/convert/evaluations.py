"""Evaluations and their results."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime

from mimic.v1 import evaluations_pb2 as pb

from mimic_server.domain.errors import InvalidInputError, Violation
from mimic_server.domain.evaluations import Evaluation, EvaluationResult, EvaluationSpec
from mimic_server.domain.ids import MessageId, SessionId, new_uuid
from mimic_server.domain.messages import Message, ReceiptStatus, Sender, Text, Transcript, WireTime
from mimic_server.rpc.convert import requests
from mimic_server.rpc.convert.enums import (
    AGGREGATE,
    METHOD,
    METRIC,
    RESULT_STATUS,
    SENDER,
    SEVERITY,
    VERDICT,
    WHOSE_MESSAGES,
)
from mimic_server.rpc.convert.values import optional_usage, timestamp
from mimic_server.services.evaluations import Trial

FIXED = frozenset({"id", "agent_id", "create_time", "update_time", "etag"})
"""Fields of an evaluation that callers do not change."""

_MAX_LINES = 1000
_MAX_AT_MS = 1e12
_EPOCH = "given"
"""Names the one clock of a given transcript."""


def read_evaluation(proto: pb.Evaluation, at: str) -> EvaluationSpec:
    """Raises InvalidInputError."""
    return EvaluationSpec.parse(requests.values(proto, at, leave=FIXED | {"disabled"}), at)


def evaluation(domain: Evaluation) -> pb.Evaluation:
    """A stored evaluation."""
    proto = evaluation_of(domain.spec)
    proto.id, proto.agent_id, proto.etag = str(domain.id), str(domain.agent_id), str(domain.etag)
    proto.disabled = not domain.enabled
    proto.create_time.CopyFrom(timestamp(domain.created_at))
    proto.update_time.CopyFrom(timestamp(domain.updated_at))
    return proto


def evaluation_of(spec: EvaluationSpec) -> pb.Evaluation:
    """An evaluation without an id: a draft."""
    criteria = spec.pass_criteria
    return pb.Evaluation(
        name=spec.name,
        metric=METRIC.write(spec.metric),
        method=METHOD.write(spec.method),
        pass_criteria=pb.PassCriteria(
            **{"pass": criteria.pass_}, warning=criteria.warning, fail=criteria.fail
        ),
        severity=SEVERITY.write(spec.severity),
        notes=spec.notes,
        llm_prompt=spec.llm_prompt,
        regex=spec.regex,
        script=spec.script,
        messages=WHOSE_MESSAGES.write(spec.messages),
        aggregate=AGGREGATE.write(spec.aggregate),
    )


def result(domain: EvaluationResult) -> pb.EvaluationResult:
    """A stored result."""
    judgement = domain.judgement
    return pb.EvaluationResult(
        id=str(domain.id),
        session_id=str(domain.session_id),
        evaluation_id=str(domain.evaluation_id),
        name=domain.name,
        metric=METRIC.write(domain.metric),
        method=METHOD.write(domain.method),
        severity=SEVERITY.write(domain.severity),
        status=RESULT_STATUS.write(judgement.status),
        value=judgement.value,
        verdict=VERDICT.write(judgement.verdict),
        explanation=judgement.explanation,
        evidence=judgement.evidence,
        usage=optional_usage(judgement.usage),
        create_time=timestamp(domain.created_at),
    )


def trial(domain: Trial) -> pb.EvaluationResult:
    """A result that is not stored."""
    spec, judgement = domain.spec, domain.judgement
    return pb.EvaluationResult(
        session_id=str(domain.session_id or ""),
        evaluation_id=str(domain.evaluation_id or ""),
        name=spec.name,
        metric=METRIC.write(spec.metric),
        method=METHOD.write(spec.method),
        severity=SEVERITY.write(spec.severity),
        status=RESULT_STATUS.write(judgement.status),
        value=judgement.value,
        verdict=VERDICT.write(judgement.verdict),
        explanation=judgement.explanation,
        evidence=judgement.evidence,
        usage=optional_usage(judgement.usage),
        create_time=timestamp(domain.created_at),
    )


def read_transcript(proto: pb.GivenTranscript, at: str) -> Transcript:
    """A given transcript as a session's, with wire times of one clock where `at_ms` tells them.

    Raises:
        InvalidInputError: Of its messages, or too many or none of them.
    """
    given = proto.messages
    if not 0 < len(given) <= _MAX_LINES:
        raise InvalidInputError.of(
            f"{at}.messages", f"has {len(given)} lines; 1 to {_MAX_LINES:,} can be judged"
        )
    violations = _faults(given, f"{at}.messages")
    if violations:
        raise InvalidInputError(violations)
    session_id, start = SessionId(new_uuid()), datetime.now(UTC)
    messages: list[Message] = []
    turn = 0
    for seq, line in enumerate(given, 1):
        sender = requests.enum(SENDER, line.sender, "sender")
        if sender is Sender.PERSONA and (not messages or messages[-1].sender is Sender.AGENT):
            turn += 1
        moment = _moment(line.at_ms, start) if line.HasField("at_ms") else None
        said = sender is Sender.PERSONA
        messages.append(
            Message(
                session_id,
                seq,
                seq,
                MessageId(f"given:{seq}"),
                1,
                turn,
                sender,
                (Text(line.text),),
                start,
                receipt=ReceiptStatus.SENT if said else None,
                sent=moment if said else None,
                first_byte=None if said else moment,
                last_byte=None if said else moment,
            )
        )
    return Transcript(tuple(messages))


def _faults(given: Sequence[pb.GivenMessage], at: str) -> list[Violation]:
    found = []
    latest = 0.0
    for index, line in enumerate(given):
        if SENDER.read(line.sender) is None:
            found.append(Violation(f"{at}[{index}].sender", f"{line.sender} is none of {SENDER.known}"))
        if not line.text:
            found.append(Violation(f"{at}[{index}].text", "is required"))
        if not line.HasField("at_ms"):
            continue
        if not math.isfinite(line.at_ms) or not 0 <= line.at_ms <= _MAX_AT_MS:
            found.append(Violation(f"{at}[{index}].at_ms", f"is from 0 to {_MAX_AT_MS:,.0f}"))
        elif line.at_ms < latest:
            found.append(Violation(f"{at}[{index}].at_ms", "is before that of an earlier line"))
        else:
            latest = line.at_ms
    return found


def _moment(at_ms: float, start: datetime) -> WireTime:
    nanos = round(at_ms * 1e6)
    return WireTime(round(start.timestamp() * 1e9) + nanos, nanos, _EPOCH)
