"""Adapters, their manifests and logs."""

from __future__ import annotations

from google.protobuf.duration_pb2 import Duration
from mimic.adapter.v1 import adapter_pb2
from mimic.v1 import adapters_pb2 as pb

from mimic_server.domain.adapters import AdapterLogLine, AdapterStatus, Capabilities, Manifest
from mimic_server.rpc.convert.enums import ADAPTER_STATE, CHOICE_KIND, LOG_LEVEL, MEDIA_KIND, MODE, LogLevel
from mimic_server.rpc.convert.values import timestamp

_LEVELS = {level.value: level for level in LogLevel}


def adapter(domain: AdapterStatus) -> pb.Adapter:
    """An adapter as the server sees it."""
    return pb.Adapter(
        channel=domain.channel,
        state=ADAPTER_STATE.write(domain.state),
        reason=domain.reason,
        remedy=domain.remedy,
        restarts=domain.restarts,
        launched_by=domain.launched_by,
        pid=domain.pid or 0,
        since=timestamp(domain.since),
        manifest=None if domain.manifest is None else _manifest(domain.manifest),
        sessions=domain.sessions,
    )


def log_line(domain: AdapterLogLine) -> pb.WatchLogsResponse:
    """A line of an adapter's log."""
    return pb.WatchLogsResponse(
        time=timestamp(domain.time),
        level=LOG_LEVEL.write(_LEVELS.get(domain.level)),
        message=domain.message,
        session_id=domain.session_id,
        fields=dict(domain.fields),
    )


def _manifest(domain: Manifest) -> adapter_pb2.Manifest:
    quiet = Duration()
    quiet.FromTimedelta(domain.turn_quiet)
    return adapter_pb2.Manifest(
        name=domain.name,
        version=domain.version,
        channel=domain.channel,
        description=domain.description,
        modes=map(MODE.write, domain.modes),
        capabilities=_capabilities(domain.capabilities),
        settings_schema_json=domain.settings_schema_json,
        notices=domain.notices,
        turn_quiet=quiet,
    )


def _capabilities(domain: Capabilities) -> adapter_pb2.Capabilities:
    return adapter_pb2.Capabilities(
        resumable=domain.resumable,
        idempotent_send=domain.idempotent_send,
        agent_speaks_first=domain.agent_speaks_first,
        typing=domain.typing,
        read_receipts=domain.read_receipts,
        turn_complete=domain.turn_complete,
        choices=map(CHOICE_KIND.write, domain.choices),
        media=map(MEDIA_KIND.write, domain.media),
        voice=domain.voice,
        max_text_chars=domain.max_text_chars,
        max_concurrent_sessions=domain.max_concurrent_sessions,
        max_unacked_events=domain.max_unacked_events,
        max_media_bytes=domain.max_media_bytes,
    )
