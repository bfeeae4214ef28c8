"""Between the domain's adapters, connections and conversations and `mimic.adapter.v1`."""

from __future__ import annotations

from datetime import timedelta

from mimic.adapter.v1 import adapter_pb2, conversation_pb2

from mimic_server.domain.adapters import (
    AgentSetting,
    Capabilities,
    CloseReason,
    ConnectionState,
    ConnectionStatus,
    Manifest,
    Open,
)
from mimic_server.domain.agents import Connection, Mode
from mimic_server.domain.ids import ConnectionId
from mimic_server.host.texts import one_line
from mimic_server.wire.parts import choice_kind, media_kind

_MODES = {adapter_pb2.MODE_LIVE: Mode.LIVE, adapter_pb2.MODE_EMULATOR: Mode.EMULATOR}
_MODES_OUT = {mode: number for number, mode in _MODES.items()}
_STATES = {
    adapter_pb2.CONNECTION_STATE_CONNECTING: ConnectionState.CONNECTING,
    adapter_pb2.CONNECTION_STATE_READY: ConnectionState.READY,
    adapter_pb2.CONNECTION_STATE_DEGRADED: ConnectionState.DEGRADED,
    adapter_pb2.CONNECTION_STATE_BAD_CREDENTIALS: ConnectionState.BAD_CREDENTIALS,
    adapter_pb2.CONNECTION_STATE_FAILED: ConnectionState.FAILED,
}
CLOSE_REASONS = {
    CloseReason.DONE: conversation_pb2.CLOSE_REASON_DONE,
    CloseReason.CANCELLED: conversation_pb2.CLOSE_REASON_CANCELLED,
    CloseReason.ABANDONED: conversation_pb2.CLOSE_REASON_ABANDONED,
}


def read_manifest(proto: adapter_pb2.Manifest) -> Manifest:
    """A manifest. Limits below zero are taken for none; modes newer than this server are left out."""
    caps = proto.capabilities
    quiet = proto.turn_quiet.ToTimedelta() if proto.HasField("turn_quiet") else timedelta(seconds=1.5)
    return Manifest(
        name=proto.name,
        version=proto.version,
        channel=proto.channel,
        description=proto.description,
        modes=tuple(_MODES[mode] for mode in proto.modes if mode in _MODES),
        capabilities=Capabilities(
            resumable=caps.resumable,
            idempotent_send=caps.idempotent_send,
            agent_speaks_first=caps.agent_speaks_first,
            typing=caps.typing,
            read_receipts=caps.read_receipts,
            turn_complete=caps.turn_complete,
            choices=tuple(dict.fromkeys(choice_kind(kind) for kind in caps.choices)),
            media=tuple(dict.fromkeys(filter(None, map(media_kind, caps.media)))),
            voice=caps.voice,
            max_text_chars=max(caps.max_text_chars, 0),
            max_concurrent_sessions=max(caps.max_concurrent_sessions, 0),
            max_unacked_events=max(caps.max_unacked_events, 1),
            max_media_bytes=max(caps.max_media_bytes, 0),
        ),
        settings_schema_json=proto.settings_schema_json,
        notices=tuple(proto.notices),
        turn_quiet=max(quiet, timedelta(0)),
    )


def connect_request(connection: Connection) -> adapter_pb2.ConnectRequest:
    """Asks for a connection.

    Raises:
        ValueError: The settings hold something that JSON has not.
    """
    request = adapter_pb2.ConnectRequest(connection_id=str(connection.id))
    if connection.spec.mode is not None:
        request.mode = _MODES_OUT[connection.spec.mode]
    request.settings.update(dict(connection.spec.settings))
    return request


def read_status(proto: adapter_pb2.ConnectionStatus, connection_id: ConnectionId) -> ConnectionStatus:
    """The state of a connection that the host knows; a state that is not told counts as FAILED."""
    state = _STATES.get(proto.state)
    if state is None:
        reason = f"the adapter tells no known state ({int(proto.state)})"
        return ConnectionStatus(connection_id, ConnectionState.FAILED, reason)
    return ConnectionStatus(connection_id, state, one_line(proto.reason), one_line(proto.remedy))


def read_agent_setting(proto: adapter_pb2.AgentSetting) -> AgentSetting:
    """One thing that the agent's author sets."""
    return AgentSetting(proto.name, proto.value, proto.secret, proto.description, proto.env_var)


def write_open(request: Open, into: conversation_pb2.Open) -> None:
    """Fills in the first item of a conversation."""
    into.session_id = str(request.session_id)
    into.attempt = request.attempt
    into.connection_id = str(request.connection_id)
    into.persona.display_name, into.persona.locale = request.display_name, request.locale
    into.capture_raw = request.capture_raw
    into.seed = request.seed
    if request.resume is not None:
        resume = into.resume
        resume.epoch, resume.last_seq = request.resume.epoch, request.resume.last_seq
        resume.settled_message_ids.extend(request.resume.settled_message_ids)
        resume.unsettled_message_ids.extend(request.resume.unsettled_message_ids)
        resume.answer_pending = request.resume.answer_pending
