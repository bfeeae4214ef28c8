"""Sessions, their messages and raw payloads."""

from __future__ import annotations

import math

from mimic.adapter.v1 import conversation_pb2, message_pb2
from mimic.v1 import sessions_pb2 as pb

from mimic_server.domain.errors import InvalidInputError, Violation
from mimic_server.domain.messages import Message, Part, RawPayload, Text
from mimic_server.domain.sessions import Attempt, Session, SessionOptions
from mimic_server.rpc.convert import requests
from mimic_server.rpc.convert.enums import RECEIPT_STATUS, SENDER, SESSION_STATE, TERMINATION_REASON
from mimic_server.rpc.convert.personas import persona_of
from mimic_server.rpc.convert.values import (
    fault,
    optional_timestamp,
    optional_usage,
    timestamp,
    usage,
    wire_time,
)
from mimic_server.wire.parts import read_parts, write_parts

_MAX_PARTS = 50
_MAX_TEXT_CHARS = 100_000
_MAX_INLINE_BYTES = 2**20


def read_options(proto: pb.SessionOptions, at: str) -> SessionOptions:
    """Raises InvalidInputError."""
    return SessionOptions.parse(requests.values(proto, at), at)


def read_said(proto: pb.SendMessageRequest) -> tuple[Part, ...]:
    """What a person says in the persona's place.

    Raises:
        InvalidInputError: Nothing is said, or what no channel could carry.
    """
    if proto.text and proto.parts:
        raise InvalidInputError.of("text", "is the shorthand for one text part: give either text or parts")
    if not proto.text and not 0 < len(proto.parts) <= _MAX_PARTS:
        raise InvalidInputError.of("parts", f"give text, or 1 to {_MAX_PARTS} parts")
    violations = _length("text", proto.text)
    for index, part in enumerate(proto.parts):
        violations += _part_faults(part, f"parts[{index}]")
    if violations:
        raise InvalidInputError(violations)
    return (Text(proto.text),) if proto.text else read_parts(proto.parts)


def _part_faults(part: message_pb2.Part, at: str) -> list[Violation]:
    kind = part.WhichOneof("part")
    match kind:
        case None:
            return [Violation(at, "is of no kind that this server knows")]
        case "text":
            return _required(f"{at}.text.text", part.text.text) + _length(f"{at}.text.text", part.text.text)
        case "media":
            return _media_faults(part.media, f"{at}.media")
        case "choice_taken":
            return _required(f"{at}.choice_taken.choice_id", part.choice_taken.choice_id)
        case "speech":
            return _required(f"{at}.speech.text", part.speech.text) + _finite(
                f"{at}.speech.confidence", part.speech.confidence, 0, 1
            )
        case "dtmf":
            if part.dtmf.digits and set(part.dtmf.digits) <= set("0123456789*#ABCDw"):
                return []
            return [Violation(f"{at}.dtmf.digits", "takes 0-9, *, #, A-D and w, at least one")]
        case "location":
            place = part.location
            return _finite(f"{at}.location.latitude", place.latitude, -90, 90) + _finite(
                f"{at}.location.longitude", place.longitude, -180, 180
            )
        case "reaction":
            return _required(f"{at}.reaction.message_id", part.reaction.message_id)
        case _:
            return [Violation(f"{at}.{kind}", "is said by agents, not by personas")]


def _media_faults(media: message_pb2.Media, at: str) -> list[Violation]:
    match media.WhichOneof("source"):
        case "data" if len(media.data) <= _MAX_INLINE_BYTES:
            return []
        case "data":
            return [Violation(f"{at}.data", "has more than 1 MiB: give its uri instead")]
        case "uri" if media.uri.startswith(("http://", "https://", "data:")):
            return []
        case _:
            return [Violation(at, "needs its bytes, or an http, https or data address")]


def _required(path: str, text: str) -> list[Violation]:
    return [] if text else [Violation(path, "is required")]


def _length(path: str, text: str) -> list[Violation]:
    if len(text) <= _MAX_TEXT_CHARS:
        return []
    return [Violation(path, f"has more than {_MAX_TEXT_CHARS:,} characters")]


def _finite(path: str, number: float, least: float, most: float) -> list[Violation]:
    if math.isfinite(number) and least <= number <= most:
        return []
    return [Violation(path, f"is from {least} to {most}")]


def options(domain: SessionOptions) -> pb.SessionOptions:
    """How a session is played."""
    return pb.SessionOptions(
        max_turns=domain.max_turns,
        seed=domain.seed,
        turn_timeout_ms=domain.turn_timeout_ms,
        turn_quiet_ms=domain.turn_quiet_ms,
        max_silent_turns=domain.max_silent_turns,
        pace=domain.pace,
        max_tokens=domain.max_tokens,
        max_attempts=domain.max_attempts,
        capture_raw=domain.capture_raw,
    )


def session(domain: Session) -> pb.Session:
    """A session."""
    persona = persona_of(domain.persona)
    persona.id, persona.agent_id = str(domain.persona_id), str(domain.agent_id)
    return pb.Session(
        id=str(domain.id),
        agent_id=str(domain.agent_id),
        connection_id=str(domain.connection_id),
        persona_id=str(domain.persona_id),
        persona=persona,
        run_id=str(domain.run_id or ""),
        repeat=domain.repeat,
        options=options(domain.options),
        state=SESSION_STATE.write(domain.state),
        channel=domain.channel,
        model=domain.model,
        attempts=map(_attempt, domain.attempts),
        turns=domain.turns,
        message_count=domain.message_count,
        termination_reason=TERMINATION_REASON.write(domain.termination),
        termination_detail=domain.termination_detail,
        fault=fault(domain.fault),
        usage=usage(domain.usage),
        human_control=domain.human_control,
        cancel_requested=domain.cancel_requested,
        last_seq=domain.rev,
        create_time=timestamp(domain.created_at),
        start_time=optional_timestamp(domain.started_at),
        end_time=optional_timestamp(domain.ended_at),
        seed=domain.seed,
    )


def _attempt(domain: Attempt) -> pb.Attempt:
    return pb.Attempt(
        number=domain.number,
        start_time=timestamp(domain.started_at),
        end_time=optional_timestamp(domain.ended_at),
        conversation_ref=domain.conversation_ref,
        resumptions=domain.resumptions,
        fault=fault(domain.fault),
        note=domain.note,
    )


def message(domain: Message) -> pb.Message:
    """A message of a session."""
    proto = pb.Message(
        seq=domain.seq,
        id=domain.id,
        attempt=domain.attempt,
        turn=domain.turn,
        sender=SENDER.write(domain.sender),
        text=domain.text,
        in_reply_to=domain.in_reply_to,
        replaces=domain.replaces,
        deleted=domain.deleted,
        receipt=RECEIPT_STATUS.write(domain.receipt),
        fault=fault(domain.fault),
        sent=wire_time(domain.sent),
        delivered=wire_time(domain.delivered),
        read=wire_time(domain.read),
        first_byte=wire_time(domain.first_byte),
        last_byte=wire_time(domain.last_byte),
        usage=optional_usage(domain.usage),
        create_time=timestamp(domain.created_at),
    )
    write_parts(domain.parts, proto.parts)
    return proto


def raw_payload(domain: RawPayload) -> pb.RawPayload:
    """What went over the channel's wire."""
    towards = conversation_pb2.RAW_DIRECTION_TO_AGENT
    return pb.RawPayload(
        attempt=domain.attempt,
        direction=towards if domain.to_agent else conversation_pb2.RAW_DIRECTION_FROM_AGENT,
        payload=domain.payload,
        label=domain.label,
        time=wire_time(domain.time),
        fault=fault(domain.fault),
    )
