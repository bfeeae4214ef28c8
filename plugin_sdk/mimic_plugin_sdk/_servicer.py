"""mimic.adapter.v1.AdapterService over an author's adapter."""

import asyncio
from collections.abc import AsyncIterator
from time import monotonic
from typing import Any

from grpc import (
    StatusCode,
    stream_stream_rpc_method_handler,
    unary_stream_rpc_method_handler,
    unary_unary_rpc_method_handler,
)
from mimic.adapter.v1 import adapter_pb2 as pb

from mimic_plugin_sdk import _convert
from mimic_plugin_sdk._adapter import Adapter
from mimic_plugin_sdk._connections import Connections
from mimic_plugin_sdk._converse import Sessions, Stream
from mimic_plugin_sdk._settings import settings_from_wire, settings_schema
from mimic_plugin_sdk._status import Failure, abort, failure_of, refused

SERVICE = "mimic.adapter.v1.AdapterService"

_DRAINING = refused(StatusCode.UNAVAILABLE, "DRAINING", "the adapter is shutting down", retry_after_seconds=1)


class AdapterServicer:
    """The seven calls of AdapterService."""

    def __init__(self, adapter: Adapter[Any]) -> None:
        """Make one.

        Args:
            adapter: The author's adapter.
        """
        self._adapter = adapter
        self._connections = Connections(adapter)
        self._sessions = Sessions(adapter, self._connections.get)
        self._draining = False

    def handlers(self) -> dict[str, Any]:
        """Return the calls by name, as grpc wants them."""
        return {
            "GetManifest": _unary(self.get_manifest, pb.GetManifestRequest),
            "Connect": _unary(self.connect, pb.ConnectRequest),
            "Disconnect": _unary(self.disconnect, pb.DisconnectRequest),
            "CheckConnection": _unary(self.check_connection, pb.CheckConnectionRequest),
            "WatchConnections": _streamed(self.watch_connections, pb.WatchConnectionsRequest),
            # Frames are parsed and made where they are used, so that a malformed one has a status of its own.
            "Converse": stream_stream_rpc_method_handler(self.converse),
            "GetMedia": _streamed(self.get_media, pb.GetMediaRequest),
        }

    async def get_manifest(self, request: pb.GetManifestRequest, context: Any) -> pb.GetManifestResponse:
        """GetManifest."""
        await self._refuse_when_draining(context)
        return pb.GetManifestResponse(manifest=manifest_of(type(self._adapter)))

    async def connect(self, request: pb.ConnectRequest, context: Any) -> pb.ConnectResponse:
        """Connect."""
        await self._refuse_when_draining(context)
        connection_id = request.connection_id
        if not connection_id:
            text = "connection_id is not set"
            await abort(context, refused(StatusCode.INVALID_ARGUMENT, "CONNECTION_ID_MISSING", text))
        mode = _convert.mode_from_wire(request.mode, self._adapter.manifest.modes)
        if mode is None:
            has = ", ".join(one.name for one in self._adapter.manifest.modes)
            text = f"the adapter has no such mode; it has {has}"
            await abort(context, refused(StatusCode.FAILED_PRECONDITION, "MODE_UNSUPPORTED", text))
        given = settings_from_wire(request.settings)
        async with self._connections.lock(connection_id):
            answer: pb.ConnectResponse | Failure | None = self._connections.same(connection_id, mode, given)
            if answer is None:
                await self._take_down(connection_id)
                answer = await self._connections.connect(connection_id, mode, given)
        if isinstance(answer, Failure):
            await abort(context, answer)
        return answer

    async def disconnect(self, request: pb.DisconnectRequest, context: Any) -> pb.DisconnectResponse:
        """Disconnect."""
        await self._refuse_when_draining(context)
        async with self._connections.lock(request.connection_id):
            await self._take_down(request.connection_id)
        return pb.DisconnectResponse()

    async def check_connection(
        self, request: pb.CheckConnectionRequest, context: Any
    ) -> pb.CheckConnectionResponse:
        """CheckConnection."""
        await self._refuse_when_draining(context)
        began = monotonic()
        found = await self._connections.check(request.connection_id)
        if isinstance(found, Failure):
            await abort(context, found)
        answer = pb.CheckConnectionResponse(status=_convert.status_to_wire(request.connection_id, found))
        answer.took.FromNanoseconds(int((monotonic() - began) * 1e9))
        return answer

    async def watch_connections(
        self, request: pb.WatchConnectionsRequest, context: Any
    ) -> AsyncIterator[pb.WatchConnectionsResponse]:
        """WatchConnections."""
        await self._refuse_when_draining(context)
        async for status in self._connections.watch():
            yield pb.WatchConnectionsResponse(status=status)

    async def converse(self, requests: object, context: Any) -> None:
        """Converse."""
        await self._refuse_when_draining(context)
        await Stream(self._sessions, context).run()

    async def get_media(
        self, request: pb.GetMediaRequest, context: Any
    ) -> AsyncIterator[pb.GetMediaResponse]:
        """GetMedia."""
        await self._refuse_when_draining(context)
        session = self._sessions.get(request.session_id)
        if session is None or not session.offers.knows(request.media_id):
            text = f"session {request.session_id!r} offers no media {request.media_id!r}"
            await abort(context, refused(StatusCode.NOT_FOUND, "MEDIA_UNKNOWN", text))
        try:
            async for piece in session.offers.read(request.media_id):
                yield pb.GetMediaResponse(data=piece)
        except Exception as error:  # noqa: BLE001 - the pieces come from an author's code
            await abort(context, failure_of(error, "reading media"))

    async def refuse_new(self, hurried: asyncio.Event, grace_seconds: float) -> None:
        """Take nothing more on, let the host end its sessions, then end what is left.

        Args:
            hurried: Ends the grace.
            grace_seconds: How long sessions may still go on.
        """
        self._draining = True
        waits = [asyncio.ensure_future(self._sessions.over()), asyncio.ensure_future(hurried.wait())]
        await asyncio.wait(waits, timeout=grace_seconds, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        await self._sessions.stop(_DRAINING)

    async def take_all_down(self) -> None:
        """Take every connection down; its sessions have ended before."""
        for connection_id in self._connections.ids():
            await self._connections.disconnect(connection_id)

    async def _take_down(self, connection_id: str) -> None:
        connection = self._connections.get(connection_id)
        if connection is not None:
            text = f"connection {connection_id!r} was taken down"
            gone = refused(StatusCode.UNAVAILABLE, "DISCONNECTED", text)
            await self._sessions.stop(gone, connection)
            await self._connections.disconnect(connection_id)

    async def _refuse_when_draining(self, context: Any) -> None:
        if self._draining:
            await abort(context, _DRAINING)


def manifest_of(adapter: type[Adapter[Any]]) -> pb.Manifest:
    """Write an adapter's manifest, with the JSON Schema of its settings.

    Args:
        adapter: The author's class.
    """
    import json  # noqa: PLC0415 - not needed to start

    return _convert.manifest_to_wire(adapter.manifest, json.dumps(settings_schema(adapter.settings_type)))


def _unary(method: Any, request: Any) -> Any:
    return unary_unary_rpc_method_handler(method, request.FromString, _serialized)


def _streamed(method: Any, request: Any) -> Any:
    return unary_stream_rpc_method_handler(method, request.FromString, _serialized)


def _serialized(message: Any) -> bytes:
    return message.SerializeToString()  # type: ignore[no-any-return]
