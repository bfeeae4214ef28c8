"""Events on their way to the host, each as a serialized frame of its own.

What every turn brings, a receipt, a plain message and its end, is made from a template: building the same
nested messages anew takes twice as long, and is most of what an adapter adds to a turn.
"""

from collections.abc import Sequence
from time import monotonic_ns, time_ns

from mimic.adapter.v1 import conversation_pb2, message_pb2
from mimic.adapter.v1.conversation_pb2 import ConverseResponse, ReceiptStatus

from mimic_plugin_sdk._convert_message import fill_parts
from mimic_plugin_sdk._fault import Fault, FaultSource
from mimic_plugin_sdk._items import ClosedBy, RawDirection
from mimic_plugin_sdk._message import Part
from mimic_plugin_sdk._redact import redacted, redacted_and_cut
from mimic_plugin_sdk._wire_time import WireTime

SENT = conversation_pb2.RECEIPT_STATUS_SENT
DELIVERED = conversation_pb2.RECEIPT_STATUS_DELIVERED
READ = conversation_pb2.RECEIPT_STATUS_READ
FAILED = conversation_pb2.RECEIPT_STATUS_FAILED

_FAULT_SOURCES = {
    source: message_pb2.FaultSource.Value(f"FAULT_SOURCE_{source.name}") for source in FaultSource
}
_DIRECTIONS = {
    RawDirection.TO_AGENT: conversation_pb2.RAW_DIRECTION_TO_AGENT,
    RawDirection.FROM_AGENT: conversation_pb2.RAW_DIRECTION_FROM_AGENT,
}
_CLOSED_BY = {
    ClosedBy.AGENT: conversation_pb2.CLOSED_BY_AGENT,
    ClosedBy.PLATFORM: conversation_pb2.CLOSED_BY_PLATFORM,
    None: conversation_pb2.CLOSED_BY_HOST,
}
# Faults travel in statuses, and those in metadata, of which peers take 8 KiB in all, percent signs included.
_FAULT_TEXT_BYTES = 800

# A template keeps every text that it ever held: it is made anew after some uses, and spared the long ones.
_USES = 250
_TEMPLATE_CHARS = 4000


class _Receipts:
    """Makes receipts without a fault, by this process's clock."""

    __slots__ = ("_event", "_frame", "_receipt", "_time", "_uses")

    def __init__(self) -> None:
        self._renew()

    def _renew(self) -> None:
        self._uses = 0
        self._frame = ConverseResponse()
        self._event = self._frame.events.add()
        self._receipt = self._event.receipt
        self._time = self._receipt.time

    def make(
        self, seq: int, message_id: str, status: ReceiptStatus.ValueType, time: WireTime | None
    ) -> bytes:
        if self._uses == _USES:
            self._renew()
        self._uses += 1
        self._event.seq = seq
        self._receipt.message_id = message_id
        self._receipt.status = status
        _fill_time(self._time, time)
        return self._frame.SerializeToString()


class _PlainMessages:
    """Makes messages of one plain text, not too long, that came in one moment by this process's clock."""

    __slots__ = ("_event", "_first_byte", "_frame", "_message", "_text", "_uses")

    def __init__(self) -> None:
        self._renew()

    def _renew(self) -> None:
        self._uses = 0
        self._frame = ConverseResponse()
        self._event = self._frame.events.add()
        self._message = self._event.message.message
        self._text = self._message.parts.add().text
        self._first_byte = self._event.message.first_byte

    def make(
        self, seq: int, message_id: str, text: str, first_byte: WireTime | None, in_reply_to: str
    ) -> bytes:
        if self._uses == _USES:
            self._renew()
        self._uses += 1
        self._event.seq = seq
        self._message.id = message_id
        self._message.in_reply_to = in_reply_to
        self._text.text = text
        _fill_time(self._first_byte, first_byte)
        return self._frame.SerializeToString()


class _TurnCompletes:
    """Makes TurnCompletes."""

    __slots__ = ("_event", "_frame", "_turn", "_uses")

    def __init__(self) -> None:
        self._renew()

    def _renew(self) -> None:
        self._uses = 0
        self._frame = ConverseResponse()
        self._event = self._frame.events.add()
        self._turn = self._event.turn_complete
        self._turn.SetInParent()

    def make(self, seq: int, message_id: str) -> bytes:
        if self._uses == _USES:
            self._renew()
        self._uses += 1
        self._event.seq = seq
        self._turn.message_id = message_id
        return self._frame.SerializeToString()


_receipts = _Receipts()
_turn_completes = _TurnCompletes()
_plain_messages = _PlainMessages()


def opened_frame(epoch: str, conversation_ref: str, *, resumed: bool) -> bytes:
    """Make the frame with Opened, which has no number."""
    frame = ConverseResponse()
    opened = frame.events.add().opened
    opened.epoch = epoch
    opened.conversation_ref = conversation_ref
    opened.resumed = resumed
    return frame.SerializeToString()


def receipt_event(
    seq: int,
    message_id: str,
    status: ReceiptStatus.ValueType,
    time: WireTime | None = None,
    fault: Fault | None = None,
) -> bytes:
    """Make a receipt; time None: now."""
    if fault is None and (time is None or not time.clock_id):
        return _receipts.make(seq, message_id, status, time)
    frame = ConverseResponse()
    event = frame.events.add()
    event.seq = seq
    receipt = event.receipt
    receipt.message_id = message_id
    receipt.status = status
    _fill_time(receipt.time, time)
    if fault is not None:
        _fill_fault(receipt.fault, fault)
    return frame.SerializeToString()


def renumbered(seq: int, event: bytes) -> bytes:
    """Make an event again under another number."""
    frame = ConverseResponse.FromString(event)
    frame.events[0].seq = seq
    return frame.SerializeToString()


def message_event(
    seq: int,
    message_id: str,
    content: str | Sequence[Part],
    *,
    first_byte: WireTime | None,
    last_byte: WireTime | None,
    in_reply_to: str = "",
) -> bytes:
    """Make a message of the agent; first_byte None: now; last_byte None: with the first."""
    plain = last_byte is None and (first_byte is None or not first_byte.clock_id)
    if plain and isinstance(content, str) and len(content) <= _TEMPLATE_CHARS:
        return _plain_messages.make(seq, message_id, content, first_byte, in_reply_to)
    frame = ConverseResponse()
    event = frame.events.add()
    event.seq = seq
    said = event.message
    message = said.message
    message.id = message_id
    message.in_reply_to = in_reply_to
    if isinstance(content, str):
        message.parts.add().text.text = content
    else:
        fill_parts(message, content)
    _fill_time(said.first_byte, first_byte)
    if last_byte is not None:
        _fill_time(said.last_byte, last_byte)
    return frame.SerializeToString()


def edit_event(
    seq: int,
    message_id: str,
    replaces: str,
    content: str | Sequence[Part],
    *,
    first_byte: WireTime | None,
    last_byte: WireTime | None,
) -> bytes:
    """Make an edit of an earlier message of the agent, or without content a deletion; times as above."""
    frame = ConverseResponse.FromString(
        message_event(seq, message_id, content or (), first_byte=first_byte, last_byte=last_byte)
    )
    message = frame.events[0].message.message
    message.replaces = replaces
    message.deleted = not content
    return frame.SerializeToString()


def typing_event(seq: int) -> bytes:
    """Make an AgentTyping."""
    frame = ConverseResponse()
    event = frame.events.add()
    event.seq = seq
    event.typing.SetInParent()
    return frame.SerializeToString()


def turn_complete_event(seq: int, message_id: str = "") -> bytes:
    """Make a TurnComplete; message_id empty: of the turn under way."""
    return _turn_completes.make(seq, message_id)


def raw_event(
    seq: int,
    direction: RawDirection,
    payload: str,
    *,
    time: WireTime | None,
    label: str,
    fault: Fault | None,
) -> bytes:
    """Make a Raw from what was redacted already; time None: now."""
    frame = ConverseResponse()
    event = frame.events.add()
    event.seq = seq
    raw = event.raw
    raw.direction = _DIRECTIONS[direction]
    raw.payload = payload
    _fill_time(raw.time, time)
    raw.label = label
    if fault is not None:
        _fill_fault(raw.fault, fault)
    return frame.SerializeToString()


def closed_event(seq: int, by: ClosedBy | None, reason: str, fault: Fault | None) -> bytes:
    """Make a Closed; by None: the host asked."""
    frame = ConverseResponse()
    event = frame.events.add()
    event.seq = seq
    closed = event.closed
    closed.by = _CLOSED_BY[by]
    closed.reason = redacted(reason)
    if fault is not None:
        _fill_fault(closed.fault, fault)
    return frame.SerializeToString()


def _fill_time(wire: message_pb2.WireTime, time: WireTime | None) -> None:
    if time is None:
        wire.wall_unix_nanos = time_ns()
        wire.monotonic_nanos = monotonic_ns()
        return
    wire.wall_unix_nanos = time.wall_unix_nanos
    wire.monotonic_nanos = time.monotonic_nanos
    if time.clock_id:
        wire.clock_id = time.clock_id


def _fill_fault(wire: message_pb2.Fault, fault: Fault) -> None:
    wire.source = _FAULT_SOURCES[fault.source]
    wire.reason = fault.reason
    wire.message = fault_text(fault.message)
    wire.remedy = fault_text(fault.remedy)


def fault_text(text: str) -> str:
    """Return a fault's text as it may leave: secrets redacted, and cut."""
    return redacted_and_cut(text, _FAULT_TEXT_BYTES)
