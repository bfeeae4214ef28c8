"""Transcripts to judge."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from mimic_server.domain.ids import MessageId, SessionId
from mimic_server.domain.messages import (
    Message,
    Part,
    ReceiptStatus,
    Sender,
    Stop,
    Text,
    Transcript,
    WireTime,
)

_SESSION = SessionId(UUID(int=1))
_AT = datetime(2026, 11, 22, tzinfo=UTC)
_CLOCK = "clock-1"


def moment(ms: float, clock: str = _CLOCK) -> WireTime:
    """A moment, in milliseconds from an arbitrary start."""
    return WireTime(int(ms * 1e6), int(ms * 1e6), clock)


def said(
    seq: int,
    sender: Sender,
    content: str | Sequence[Part],
    *,
    turn: int,
    at: float | WireTime | None = None,
    replaces: str = "",
    deleted: bool = False,
    stop: Stop | None = None,
) -> Message:
    """A message; `at` is when it was sent, or when its first byte came."""
    time = moment(at) if isinstance(at, int | float) else at
    persona = sender is Sender.PERSONA
    return Message(
        session_id=_SESSION,
        seq=seq,
        rev=seq,
        id=MessageId(f"m{seq}"),
        attempt=1,
        turn=turn,
        sender=sender,
        parts=(Text(content),) if isinstance(content, str) else tuple(content),
        created_at=_AT,
        replaces=replaces,
        deleted=deleted,
        receipt=ReceiptStatus.SENT if persona and time else None,
        sent=time if persona else None,
        first_byte=None if persona else time,
        last_byte=None if persona else time,
        stop=stop,
    )


def transcript(*texts: str, waits: Sequence[float] = ()) -> Transcript:
    """Texts said in turn, the persona first; each answer takes as long as `waits` says, or 100 ms."""
    messages, now = [], 0.0
    for index, text in enumerate(texts):
        agent = index % 2 == 1
        if agent:
            now += waits[index // 2] if index // 2 < len(waits) else 100.0
        else:
            now += 1000.0
        sender = Sender.AGENT if agent else Sender.PERSONA
        messages.append(said(index + 1, sender, text, turn=index // 2 + 1, at=now))
    return Transcript(tuple(messages))
