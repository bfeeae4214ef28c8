"""AdapterService over sessions: connections, and which stream a session is attached to."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import grpc.aio
from google.protobuf import json_format
from google.protobuf.duration_pb2 import Duration
from mimic.adapter.v1 import adapter_pb2, adapter_pb2_grpc, conversation_pb2

from tests.support.adapters.broken.breaks import breaks
from tests.support.adapters.broken.session import EPOCH, MOST_CHARS, MOST_UNACKED, Session
from tests.support.adapters.broken.status import abort
from tests.support.adapters.broken.stream import Stream

MOST_SESSIONS = 24

_SCHEMA = {
    "type": "strnig" if breaks("S5-settings-schema") else "object",
    "properties": {
        "address": {"type": "string"},
        "token": {"type": "string", "writeOnly": not breaks("S6-secrets-marked")},
        "retries": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
    },
    "required": ["address", "token"],
    "additionalProperties": False,
}

Context = grpc.aio.ServicerContext[Any, Any]


class AdapterService(adapter_pb2_grpc.AdapterServiceServicer):
    def __init__(self, log: Callable[[str], None]) -> None:
        self._log = log
        self._connections: dict[str, dict[str, Any]] = {}
        self._states = asyncio.Condition()
        self._sessions: dict[tuple[str, int], Session] = {}
        self._asked = 0

    async def GetManifest(
        self, request: adapter_pb2.GetManifestRequest, context: Context
    ) -> adapter_pb2.GetManifestResponse:
        self._asked += 1
        can = adapter_pb2.Capabilities(
            resumable=True,
            idempotent_send=True,
            turn_complete=True,
            typing=True,
            read_receipts=True,
            max_text_chars=MOST_CHARS,
            max_concurrent_sessions=MOST_SESSIONS,
            max_unacked_events=0 if breaks("S4-limits") else MOST_UNACKED,
        )
        changing = breaks("S3-manifest:changes") and self._asked > 1
        manifest = adapter_pb2.Manifest(
            name="mimic-adapter-broken",
            version="2.0.0" if changing else "1.0.0",
            channel="Broken Channel" if breaks("S3-manifest") else "broken",
            modes=[adapter_pb2.MODE_LIVE],
            capabilities=can,
            settings_schema_json=json.dumps(_SCHEMA),
        )
        return adapter_pb2.GetManifestResponse(manifest=manifest)

    async def Connect(
        self, request: adapter_pb2.ConnectRequest, context: Context
    ) -> adapter_pb2.ConnectResponse:
        settings = json_format.MessageToDict(request.settings)
        if request.mode == adapter_pb2.MODE_EMULATOR and not breaks("C4-mode-not-offered"):
            await abort(context, grpc.StatusCode.FAILED_PRECONDITION, "there is no emulator")
        faults = [name for name in ("address", "token") if not isinstance(settings.get(name), str)]
        if not isinstance(settings.get("retries"), int | float | None):
            faults.append("retries")
        faults += settings.keys() - {"address", "token", "retries"}
        if faults:
            told = f": {settings.get('token')}" if breaks("O3-secrets-kept:status") else ""
            known = faults[:1] if breaks("C3-bad-settings") else faults
            violations = [] if breaks("C3-bad-settings:none") else known
            await abort(
                context, grpc.StatusCode.INVALID_ARGUMENT, f"wrong settings{told}", violations=violations
            )
        self._log(f"connect {settings['token'] if breaks('O3-secrets-kept') else ''}")
        if request.connection_id in self._connections and breaks("C2-connect-repeated"):
            await self._end_sessions(request.connection_id)
        async with self._states:
            self._connections[request.connection_id] = settings
            self._states.notify_all()
        greeting = adapter_pb2.AgentSetting(
            name="Greeting", value="hello", description="What to say first.", env_var="BROKEN_GREETING"
        )
        response = adapter_pb2.ConnectResponse(
            status=self._ready(request.connection_id), agent_settings=[greeting]
        )
        if breaks("C1-connect"):
            response.status.state = adapter_pb2.CONNECTION_STATE_FAILED
        return response

    def _ready(self, connection_id: str) -> adapter_pb2.ConnectionStatus:
        state = adapter_pb2.CONNECTION_STATE_READY
        return adapter_pb2.ConnectionStatus(connection_id=connection_id, state=state)

    async def Disconnect(
        self, request: adapter_pb2.DisconnectRequest, context: Context
    ) -> adapter_pb2.DisconnectResponse:
        if request.connection_id not in self._connections and breaks("C7-disconnect-unknown"):
            await abort(context, grpc.StatusCode.NOT_FOUND, "no such connection")
        if not breaks("C10-disconnect:remembers"):
            self._connections.pop(request.connection_id, None)
        if not breaks("C10-disconnect"):
            await self._end_sessions(request.connection_id)
        return adapter_pb2.DisconnectResponse()

    async def _end_sessions(self, connection_id: str) -> None:
        for session in list(self._sessions.values()):
            if session.opening.connection_id == connection_id:
                async with session.changed:
                    session.disconnected = True
                    session.changed.notify_all()

    async def CheckConnection(
        self, request: adapter_pb2.CheckConnectionRequest, context: Context
    ) -> adapter_pb2.CheckConnectionResponse:
        if request.connection_id not in self._connections and not breaks("C6-check-unknown"):
            await abort(context, grpc.StatusCode.NOT_FOUND, "no such connection")
        took = None if breaks("C5-check") else Duration(nanos=1000)
        return adapter_pb2.CheckConnectionResponse(status=self._ready(request.connection_id), took=took)

    async def WatchConnections(
        self, request: adapter_pb2.WatchConnectionsRequest, context: Context
    ) -> AsyncIterator[adapter_pb2.WatchConnectionsResponse]:
        told = set(self._connections) if breaks("C8-watch") else set()
        while True:
            for connection_id in self._connections.keys() - told:
                told.add(connection_id)
                yield adapter_pb2.WatchConnectionsResponse(status=self._ready(connection_id))
            async with self._states:
                await self._states.wait_for(
                    lambda: self._connections.keys() - told and not breaks("C9-watch-changes")
                )

    async def GetMedia(
        self, request: adapter_pb2.GetMediaRequest, context: Context
    ) -> AsyncIterator[adapter_pb2.GetMediaResponse]:
        if not breaks("F4-unknown-media"):
            await abort(context, grpc.StatusCode.NOT_FOUND, "no such file")
        yield adapter_pb2.GetMediaResponse(data=b"")

    async def Converse(
        self, requests: AsyncIterator[conversation_pb2.ConverseRequest], context: Context
    ) -> AsyncIterator[conversation_pb2.ConverseResponse]:
        frame = await anext(requests)
        opening = frame.items[0].open if frame.items else conversation_pb2.Open()
        if not opening.session_id:
            wrong = breaks("R1-open-first")
            code = grpc.StatusCode.FAILED_PRECONDITION if wrong else grpc.StatusCode.INVALID_ARGUMENT
            await abort(context, code, "Open comes first")
        session, resumed = await self._attach(opening, context)
        stream = Stream(
            session, requests, opening.resume.last_seq if resumed and opening.resume.epoch == EPOCH else 0
        )
        try:
            async for event in stream.events(resumed=resumed):
                yield conversation_pb2.ConverseResponse(events=[event])
            if session.disconnected:
                await abort(context, grpc.StatusCode.UNAVAILABLE, "the connection is down")
            if stream.refused:
                await abort(context, grpc.StatusCode.INVALID_ARGUMENT, stream.refused)
        finally:
            stream.detach()
            if session.closed or session.disconnected or stream.refused:
                self._sessions.pop(_key(session.opening), None)

    async def _attach(self, opening: conversation_pb2.Open, context: Context) -> tuple[Session, bool]:
        settings = self._connections.get(opening.connection_id)
        if settings is None:
            wrong = breaks("R1-unknown-connection")
            code = grpc.StatusCode.FAILED_PRECONDITION if wrong else grpc.StatusCode.NOT_FOUND
            await abort(context, code, "no such connection")
        found = self._sessions.get(_key(opening))
        if found is not None and found.attached and not breaks("R1-already-open"):
            await abort(context, grpc.StatusCode.ALREADY_EXISTS, "the session is open on another stream")
        same_process = opening.resume.epoch == EPOCH
        if found is not None and (same_process or breaks("R1-already-open")):
            found.attached = True
            return found, True
        if len(self._sessions) >= MOST_SESSIONS and not breaks("R1-session-limit:none"):
            retry = not breaks("R1-session-limit")
            await abort(context, grpc.StatusCode.RESOURCE_EXHAUSTED, "too many sessions", retry=retry)
        session = Session(opening, settings["address"], settings["token"])
        session.everyone = lambda: list(self._sessions.values())
        session.attached = True
        self._sessions[_key(opening)] = session
        await session.start()
        return session, opening.HasField("resume") and (not same_process or breaks("R5-resume-unknown"))


def _key(opening: conversation_pb2.Open) -> tuple[str, int]:
    return opening.session_id, opening.attempt
