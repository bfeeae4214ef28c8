"""Between the wire types of mimic.adapter.v1 and this SDK's own: with `_convert_message`, the one place."""

from collections.abc import Sequence
from time import monotonic_ns, time_ns

from mimic.adapter.v1 import adapter_pb2, conversation_pb2, message_pb2
from mimic.adapter.v1.conversation_pb2 import ConverseResponse

from mimic_plugin_sdk._connection import AgentSetting, ConnectionState, ConnectionStatus
from mimic_plugin_sdk._convert_message import CHOICE_KINDS, MEDIA_KINDS, fill_parts
from mimic_plugin_sdk._fault import Fault, FaultSource
from mimic_plugin_sdk._items import ClosedBy, CloseReason, PersonaFace, RawDirection, Resume
from mimic_plugin_sdk._manifest import Manifest, Mode
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
_MODES = {mode: adapter_pb2.Mode.Value(f"MODE_{mode.name}") for mode in Mode}
_STATES = {
    state: adapter_pb2.ConnectionState.Value(f"CONNECTION_STATE_{state.name}") for state in ConnectionState
}
_DIRECTIONS = {
    RawDirection.TO_AGENT: conversation_pb2.RAW_DIRECTION_TO_AGENT,
    RawDirection.FROM_AGENT: conversation_pb2.RAW_DIRECTION_FROM_AGENT,
}
_CLOSE_REASONS = {
    conversation_pb2.CLOSE_REASON_DONE: CloseReason.DONE,
    conversation_pb2.CLOSE_REASON_CANCELLED: CloseReason.CANCELLED,
    conversation_pb2.CLOSE_REASON_ABANDONED: CloseReason.ABANDONED,
}
_CLOSED_BY = {
    ClosedBy.AGENT: conversation_pb2.CLOSED_BY_AGENT,
    ClosedBy.PLATFORM: conversation_pb2.CLOSED_BY_PLATFORM,
    None: conversation_pb2.CLOSED_BY_HOST,
}
# Faults travel in statuses, and those in metadata, of which peers take 8 KiB in all, percent signs included.
_FAULT_TEXT_BYTES = 800

# --- from the host -------------------------------------------------------------------------------------


def face_from_wire(wire: conversation_pb2.PersonaFace) -> PersonaFace:
    """Read a persona's face."""
    return PersonaFace(wire.display_name, wire.locale or "en")


def resume_from_wire(wire: conversation_pb2.Resume) -> Resume:
    """Read what the host has stored of a session of another process."""
    return Resume(
        wire.epoch, tuple(wire.settled_message_ids), tuple(wire.unsettled_message_ids), wire.answer_pending
    )


def close_reason_from_wire(reason: int) -> CloseReason:
    """Read why the host closed; one that is unknown counts as not told."""
    return _CLOSE_REASONS.get(reason, CloseReason.NOT_TOLD)  # type: ignore[call-overload, no-any-return]


def mode_from_wire(mode: int, modes: Sequence[Mode]) -> Mode | None:
    """Read a mode. Returns None when it is not one of the manifest's."""
    if mode == adapter_pb2.MODE_UNSPECIFIED:
        return modes[0]
    return next((one for one in modes if _MODES[one] == mode), None)


# --- to the host: events, each as a serialized frame of its own ------------------------------------------


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
    status: conversation_pb2.ReceiptStatus.ValueType,
    time: WireTime | None = None,
    fault: Fault | None = None,
) -> bytes:
    """Make a receipt; time None: now."""
    frame = ConverseResponse()
    event = frame.events.add()
    event.seq = seq
    receipt = event.receipt
    receipt.message_id = message_id
    receipt.status = status
    _fill_time(receipt.time, time)
    if fault is not None:
        fill_fault(receipt.fault, fault)
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
    frame = ConverseResponse()
    event = frame.events.add()
    event.seq = seq
    said = event.message
    message = said.message
    message.id = message_id
    if in_reply_to:
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


_typing = ConverseResponse()
_typing_event = _typing.events.add()
_typing_event.typing.SetInParent()
_turn_complete = ConverseResponse()
_turn_complete_event = _turn_complete.events.add()
_turn_complete_event.turn_complete.SetInParent()


def typing_event(seq: int) -> bytes:
    """Make an AgentTyping."""
    _typing_event.seq = seq
    return _typing.SerializeToString()


def turn_complete_event(seq: int, message_id: str) -> bytes:
    """Make a TurnComplete."""
    _turn_complete_event.seq = seq
    _turn_complete_event.turn_complete.message_id = message_id
    return _turn_complete.SerializeToString()


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
        fill_fault(raw.fault, fault)
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
        fill_fault(closed.fault, fault)
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


def fill_fault(wire: message_pb2.Fault, fault: Fault) -> None:
    """Write a fault, secrets redacted."""
    wire.source = _FAULT_SOURCES[fault.source]
    wire.reason = fault.reason
    wire.message = fault_text(fault.message)
    wire.remedy = fault_text(fault.remedy)


def fault_text(text: str) -> str:
    """Return a fault's text as it may leave: secrets redacted, and cut."""
    return redacted_and_cut(text, _FAULT_TEXT_BYTES)


# --- to the host: answers -------------------------------------------------------------------------------


def manifest_to_wire(manifest: Manifest, settings_schema_json: str) -> adapter_pb2.Manifest:
    """Write a manifest."""
    can = manifest.capabilities
    wire = adapter_pb2.Manifest(
        name=manifest.name,
        version=manifest.version,
        channel=manifest.channel,
        description=manifest.description,
        modes=[_MODES[mode] for mode in manifest.modes],
        capabilities=adapter_pb2.Capabilities(
            resumable=can.resumable,
            idempotent_send=can.idempotent_send,
            agent_speaks_first=can.agent_speaks_first,
            typing=can.typing,
            read_receipts=can.read_receipts,
            turn_complete=can.turn_complete,
            choices=[CHOICE_KINDS[kind] for kind in can.choices],
            media=[MEDIA_KINDS[kind] for kind in can.media],
            voice=can.voice,
            max_text_chars=can.max_text_chars,
            max_concurrent_sessions=can.max_concurrent_sessions,
            max_unacked_events=can.max_unacked_events,
            max_media_bytes=can.max_media_bytes,
        ),
        settings_schema_json=settings_schema_json,
        notices=manifest.notices,
    )
    if manifest.turn_quiet is not None:
        wire.turn_quiet.FromTimedelta(manifest.turn_quiet)
    return wire


def status_to_wire(connection_id: str, status: ConnectionStatus) -> adapter_pb2.ConnectionStatus:
    """Write a connection's state, secrets redacted."""
    return adapter_pb2.ConnectionStatus(
        connection_id=connection_id,
        state=_STATES[status.state],
        reason=fault_text(status.reason),
        remedy=fault_text(status.remedy),
    )


def agent_setting_to_wire(setting: AgentSetting) -> adapter_pb2.AgentSetting:
    """Write one thing that the agent's author sets; a secret is shown on purpose."""
    return adapter_pb2.AgentSetting(
        name=setting.name,
        value=setting.value,
        secret=setting.secret,
        description=setting.description,
        env_var=setting.env_var,
    )
