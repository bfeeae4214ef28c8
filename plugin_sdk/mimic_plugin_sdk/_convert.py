"""Between the wire types of mimic.adapter.v1 and this SDK's own: what begins a session, and plain answers.

With `_convert_message` and `_convert_event`, the one place that knows both.
"""

from collections.abc import Sequence

from mimic.adapter.v1 import adapter_pb2, conversation_pb2

from mimic_plugin_sdk._connection import AgentSetting, ConnectionState, ConnectionStatus
from mimic_plugin_sdk._convert_event import fault_text
from mimic_plugin_sdk._convert_message import CHOICE_KINDS, MEDIA_KINDS
from mimic_plugin_sdk._items import CloseReason, PersonaFace, Resume
from mimic_plugin_sdk._manifest import Manifest, Mode

_MODES = {mode: adapter_pb2.Mode.Value(f"MODE_{mode.name}") for mode in Mode}
_STATES = {
    state: adapter_pb2.ConnectionState.Value(f"CONNECTION_STATE_{state.name}") for state in ConnectionState
}
_CLOSE_REASONS = {
    conversation_pb2.CLOSE_REASON_DONE: CloseReason.DONE,
    conversation_pb2.CLOSE_REASON_CANCELLED: CloseReason.CANCELLED,
    conversation_pb2.CLOSE_REASON_ABANDONED: CloseReason.ABANDONED,
}

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
