"""What one conversation's stream may still say: holds an adapter to the contract, and reads its events.

The numbers in the messages are those of the contract's rules, which the conformance kit checks too.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Final

from mimic.adapter.v1 import conversation_pb2 as pb
from mimic.adapter.v1 import message_pb2

from mimic_server.domain.adapters import (
    AdapterEvent,
    ClosedBy,
    ClosedEvent,
    MessageEvent,
    Open,
    Opened,
    RawEvent,
    ReceiptEvent,
    TurnCompleteEvent,
    TypingEvent,
)
from mimic_server.domain.faults import Fault
from mimic_server.domain.ids import MessageId
from mimic_server.domain.messages import Media, Part, ReceiptStatus
from mimic_server.host.texts import one_line
from mimic_server.wire.parts import read_fault, read_parts, read_time

_logger = logging.getLogger("mimic.host")

_ID_BYTES: Final = 128
_INLINE_BYTES: Final = 1024 * 1024
_RAW_CHARS: Final = 64 * 1024

# What became of a message of the persona, in the order in which it may.
_AWAITED: Final = 0
_SETTLED: Final = 1
"""SENT or FAILED, as stored before this stream: which of them, the host is not told."""
_FAILED: Final = 2
_SENT: Final = 3
_DELIVERED: Final = 4
_READ: Final = 5

_SETTLING: Final = frozenset({_FAILED, _SENT})
_UNSENT: Final = frozenset({_AWAITED, _FAILED})

_STATUSES = {
    pb.RECEIPT_STATUS_SENT: (ReceiptStatus.SENT, _SENT),
    pb.RECEIPT_STATUS_DELIVERED: (ReceiptStatus.DELIVERED, _DELIVERED),
    pb.RECEIPT_STATUS_READ: (ReceiptStatus.READ, _READ),
    pb.RECEIPT_STATUS_FAILED: (ReceiptStatus.FAILED, _FAILED),
}
_CLOSED_BY = {pb.CLOSED_BY_HOST: ClosedBy.HOST, pb.CLOSED_BY_AGENT: ClosedBy.AGENT}


class BrokenRuleError(Exception):
    """The adapter broke the contract; the text names the rule."""


class Ledger:
    """Holds one stream to the contract.

    Args:
        request: What it was opened with.
        channel: Names the adapter in the log.
        redact: Takes secrets out of texts for people.
    """

    __slots__ = (
        "_again",
        "_capture_raw",
        "_channel",
        "_epoch",
        "_message_ids",
        "_receipts",
        "_redact",
        "_resume",
        "_skip_up_to",
        "_unknown",
        "closed",
        "last_seq",
    )

    def __init__(self, request: Open, channel: str, redact: Callable[[str], str] = str) -> None:
        self._channel = channel
        self._redact = redact
        self._capture_raw = request.capture_raw
        self._resume = request.resume
        self._epoch = ""
        self._receipts: dict[str, int] = {}
        self._again: set[str] = set()
        self._message_ids: set[str] = set()
        self._skip_up_to = 0
        self._unknown: set[str] = set()
        self.last_seq = 0
        """Seq of the newest event that came."""
        self.closed = False
        """True: Closed came."""

    def open(self, event: pb.Event) -> Opened:
        """Takes the first event of the stream.

        Raises:
            BrokenRuleError: It is not a proper Opened.
        """
        if event.WhichOneof("event") != "opened":
            raise BrokenRuleError("an event came before Opened (rule 1)")
        opened = event.opened
        if not opened.epoch or len(opened.epoch) > _ID_BYTES:
            raise BrokenRuleError("Opened has no epoch, or one of more than 128 bytes")
        self._epoch = opened.epoch
        resume = self._resume
        if opened.resumed and resume is None:
            raise BrokenRuleError("Opened says `resumed`, and nobody asked for that (rule 5)")
        if opened.resumed and resume is not None:
            self._receipts = dict.fromkeys(resume.unsettled_message_ids, _AWAITED)
            self._receipts.update(dict.fromkeys(resume.settled_message_ids, _SETTLED))
            if resume.epoch == opened.epoch:
                self.last_seq = self._skip_up_to = resume.last_seq
        return Opened(opened.epoch, one_line(opened.conversation_ref), opened.resumed)

    def sending(self, message_id: str) -> bool:
        """Notes a Send. Returns False if the same was sent over this stream before."""
        known = self._receipts.get(message_id)
        if known is None:
            self._receipts[message_id] = _AWAITED
            return True
        resume = self._resume
        if (
            resume is not None
            and message_id in resume.unsettled_message_ids
            and message_id not in self._again
        ):
            # Sent before the stream broke, perhaps: the adapter repeats what it told of it (rule 4).
            self._again.add(message_id)
            return True
        return False

    def take(self, events: Sequence[pb.Event], into: list[AdapterEvent]) -> None:
        """Takes the events of a frame, and appends those that somebody has to hear of.

        Raises:
            BrokenRuleError: One of them breaks the contract; those before it are appended.
        """
        if not events:
            raise BrokenRuleError("a frame has no events")
        for event in events:
            seq = event.seq
            if seq != self.last_seq + 1:
                if seq <= self._skip_up_to == self.last_seq and seq:
                    continue
                self._wrong_seq(event)
            self.last_seq = seq
            if self.closed:
                raise BrokenRuleError("an event came after Closed")
            kind = event.WhichOneof("event")
            heard: AdapterEvent | None
            if kind == "message":
                heard = self._message(seq, event.message)
            elif kind == "receipt":
                heard = self._receipt(seq, event.receipt)
            else:
                heard = self._other(kind, seq, event)
            if heard is not None:
                into.append(heard)

    def _wrong_seq(self, event: pb.Event) -> None:
        if event.HasField("opened"):
            raise BrokenRuleError("Opened came twice (rule 1)")
        how = "went back" if event.seq <= self.last_seq else "left a gap"
        raise BrokenRuleError(f"seq {how}: {event.seq} came after {self.last_seq}")

    def _message(self, seq: int, proto: pb.AgentMessage) -> MessageEvent:
        message = proto.message
        message_id, answered, replaces = message.id, message.in_reply_to, message.replaces
        deleted, protos = message.deleted, message.parts
        if not message_id or _is_long(message_id) or _is_long(replaces):
            raise BrokenRuleError("a message has no id, or names one of more than 128 bytes")
        if message_id in self._message_ids:
            raise BrokenRuleError(f"two messages have the id {one_line(message_id)!r}")
        self._message_ids.add(message_id)
        if answered:
            self._check_answered(answered)
        if not proto.HasField("first_byte"):
            raise BrokenRuleError("a message has no `first_byte` (rule 8)")
        count = len(protos)
        if deleted == (count > 0) or (deleted and not replaces):
            raise BrokenRuleError("a message has no parts, or a deletion has some or names no message")
        first = read_time(proto.first_byte, self._epoch)
        return MessageEvent(
            seq,
            MessageId(message_id),
            self._parts(protos, count),
            first,
            read_time(proto.last_byte, self._epoch) if proto.HasField("last_byte") else first,
            answered,
            replaces,
            deleted,
        )

    def _check_answered(self, message_id: str) -> None:
        state = self._receipts.get(message_id)
        if state == _AWAITED:
            raise BrokenRuleError(f"the answer to {one_line(message_id)!r} came before its SENT (rule 3)")
        if state is None and _is_long(message_id):
            raise BrokenRuleError("a message answers one whose id has more than 128 bytes")

    def _parts(self, protos: Sequence[message_pb2.Part], count: int) -> tuple[Part, ...]:
        parts = read_parts(protos)
        if len(parts) != count:
            self._name_unknown("a part of a message")
        for part in parts:
            if isinstance(part, Media) and part.data is not None and len(part.data) > _INLINE_BYTES:
                raise BrokenRuleError("a file of more than 1 MiB came inline")
        return parts

    def _receipt(self, seq: int, proto: pb.Receipt) -> ReceiptEvent | None:
        message_id = proto.message_id
        before = self._receipts.get(message_id)
        if before is None:
            raise BrokenRuleError(f"a receipt names {one_line(message_id)!r}, which was not sent (rule 2)")
        known = _STATUSES.get(proto.status)
        if known is None:
            raise BrokenRuleError(f"a receipt has the status {int(proto.status)}")
        status, now = known
        if (before or now not in _SETTLING) and not self._advances(message_id, before, now):
            return None
        self._receipts[message_id] = now
        if not proto.HasField("time"):
            raise BrokenRuleError("a receipt has no time (rule 8)")
        fault = self._fault(proto.fault) if now == _FAILED else None
        return ReceiptEvent(seq, MessageId(message_id), status, read_time(proto.time, self._epoch), fault)

    def _advances(self, message_id: str, before: int, now: int) -> bool:
        """Whether a receipt of a message that has one already says more than that one.

        DELIVERED again, or after READ, does no harm: platforms do so.
        """
        if now in _SETTLING:
            if message_id in self._again:
                return False
            raise BrokenRuleError(f"a second receipt settles {one_line(message_id)!r} (rule 2)")
        if before in _UNSENT:
            raise BrokenRuleError(f"{one_line(message_id)!r} arrived, and was not SENT before (rule 2)")
        return now > before

    def _other(self, kind: str | None, seq: int, event: pb.Event) -> AdapterEvent | None:
        if kind == "typing":
            return TypingEvent(seq)
        if kind == "turn_complete":
            return TurnCompleteEvent(seq, event.turn_complete.message_id)
        if kind == "raw":
            return self._raw(seq, event.raw) if self._capture_raw else None
        if kind == "closed":
            closed = event.closed
            self.closed = True
            fault = self._fault(closed.fault) if closed.HasField("fault") else None
            by = _CLOSED_BY.get(closed.by, ClosedBy.PLATFORM)
            return ClosedEvent(seq, by, one_line(self._redact(closed.reason)), fault)
        if kind == "opened":
            raise BrokenRuleError("Opened came twice (rule 1)")
        self._name_unknown("an event")
        return None

    def _raw(self, seq: int, raw: pb.Raw) -> RawEvent:
        return RawEvent(
            seq,
            raw.direction == pb.RAW_DIRECTION_TO_AGENT,
            self._redact(raw.payload)[:_RAW_CHARS],
            read_time(raw.time, self._epoch),
            one_line(self._redact(raw.label)),
            self._fault(raw.fault) if raw.HasField("fault") else None,
        )

    def _fault(self, proto: message_pb2.Fault) -> Fault:
        fault = read_fault(proto)
        message, remedy = one_line(self._redact(fault.message)), one_line(self._redact(fault.remedy))
        return Fault(fault.source, one_line(fault.reason, 100), message, remedy)

    def _name_unknown(self, what: str) -> None:
        if what not in self._unknown:
            self._unknown.add(what)
            _logger.info("the %s adapter says %s that is newer than this host; left out", self._channel, what)


def _is_long(message_id: str) -> bool:
    # Characters first: ids are short, and have at most 4 bytes a character.
    return len(message_id) > _ID_BYTES // 4 and len(message_id.encode()) > _ID_BYTES
