"""The kit's side of the wire: one gRPC channel to an adapter, with all that it answers kept."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Self, TypeVar

import grpc
import grpc.aio
from google.protobuf.message import DecodeError, Message
from google.protobuf.struct_pb2 import Struct
from mimic.adapter.v1 import adapter_pb2, adapter_pb2_grpc
from mimic.launch import grpc_controller_pb2, grpc_controller_pb2_grpc

from mimic_plugin_sdk import _wellknown

CALL_LIMIT = timedelta(seconds=10)
DOMAIN = "mimic.adapter"
FAULT_SOURCES = ("AGENT", "SIMULATOR", "ADAPTER", "CHANNEL", "MIMIC")
_DETAILS = "grpc-status-details-bin"
_OPTIONS = (
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.enable_http_proxy", 0),
)

_Status = _wellknown.message("google.rpc.Status")
_ErrorInfo = _wellknown.message("google.rpc.ErrorInfo")
_BadRequest = _wellknown.message("google.rpc.BadRequest")
_HealthCheckRequest = _wellknown.message("grpc.health.v1.HealthCheckRequest")
_HealthCheckResponse = _wellknown.message("grpc.health.v1.HealthCheckResponse")
_ServerReflectionRequest = _wellknown.message("grpc.reflection.v1.ServerReflectionRequest")
_ServerReflectionResponse = _wellknown.message("grpc.reflection.v1.ServerReflectionResponse")

T = TypeVar("T")


@dataclass(frozen=True)
class Status:
    """How a call ended, with its details read."""

    code: grpc.StatusCode
    message: str = ""
    error_info: Any = None
    """google.rpc.ErrorInfo. None: the status has none."""
    violations: Mapping[str, str] = field(default_factory=dict)
    """Descriptions of google.rpc.BadRequest, by field."""
    retry: bool = False
    """Whether it has google.rpc.RetryInfo."""

    @classmethod
    def of(cls, error: grpc.aio.AioRpcError) -> Self:
        """Reads what an error carries."""
        return cls.read(error.code(), error.details() or "", error.trailing_metadata())

    @classmethod
    def read(cls, code: grpc.StatusCode, message: str, metadata: Any) -> Self:
        """Reads the details out of a call's trailing metadata; those that cannot be read are left out."""
        found: dict[str, Any] = {}
        for key, value in metadata or ():
            if key != _DETAILS or not isinstance(value, bytes):
                continue
            status = _parse(_Status, value)
            for detail in status.details if status else ():
                found[detail.type_url.rpartition("/")[2]] = detail.value
        info = _parse(_ErrorInfo, found.get("google.rpc.ErrorInfo"))
        bad = _parse(_BadRequest, found.get("google.rpc.BadRequest"))
        return cls(
            code=code,
            message=message,
            error_info=info,
            violations={v.field: v.description for v in bad.field_violations} if bad else {},
            retry="google.rpc.RetryInfo" in found,
        )

    @property
    def fault_source(self) -> str:
        """Whose fault it says it is. Empty: it does not say."""
        return self.error_info.metadata.get("fault_source", "") if self.error_info is not None else ""

    def __str__(self) -> str:
        violations = "".join(f", {name}: {text}" for name, text in self.violations.items())
        return f"{self.code.name} ({self.message}{violations})"

    def text(self) -> str:
        """All that it says, for a search."""
        return f"{self} {self.error_info or ''}"


def _parse(type: Any, data: bytes | None) -> Any:
    if data is None:
        return None
    try:
        return type.FromString(data)
    except DecodeError:
        return None


class RefusedError(Exception):
    """A call ended with a status other than OK."""

    def __init__(self, status: Status) -> None:
        super().__init__(f"the call ended with {status}")
        self.status = status


class Client:
    """One channel to one adapter. Its calls raise RefusedError, and TimeoutError after CALL_LIMIT."""

    def __init__(self, target: str, heard: list[str]) -> None:
        self._channel = grpc.aio.insecure_channel(target, options=_OPTIONS)
        self._heard = heard
        self.adapter = adapter_pb2_grpc.AdapterServiceStub(self._channel)

    async def close(self) -> None:
        """Closes the channel and ends its calls."""
        await self._channel.close()

    def hear(self, text: str) -> None:
        """Keeps what the adapter said, for rules that search it."""
        self._heard.append(text)

    async def _call(self, call: Awaitable[T], within: timedelta = CALL_LIMIT) -> T:
        async with asyncio.timeout(within.total_seconds()):
            try:
                return await call
            except grpc.aio.AioRpcError as error:
                status = Status.of(error)
                self.hear(status.text())
                raise RefusedError(status) from None

    async def manifest(self) -> adapter_pb2.Manifest:
        """GetManifest."""
        request = adapter_pb2.GetManifestRequest()
        return (await self._call(self.adapter.GetManifest(request, wait_for_ready=True))).manifest

    async def connect(
        self, connection_id: str, settings: Mapping[str, Any], mode: adapter_pb2.Mode.ValueType
    ) -> adapter_pb2.ConnectResponse:
        """Connect."""
        struct = Struct()
        struct.update(settings)
        request = adapter_pb2.ConnectRequest(connection_id=connection_id, mode=mode, settings=struct)
        response = await self._call(self.adapter.Connect(request), timedelta(seconds=30))
        self.hear(str(response.status))
        return response

    async def disconnect(self, connection_id: str) -> None:
        """Disconnect."""
        await self._call(self.adapter.Disconnect(adapter_pb2.DisconnectRequest(connection_id=connection_id)))

    async def check(self, connection_id: str) -> adapter_pb2.CheckConnectionResponse:
        """CheckConnection."""
        request = adapter_pb2.CheckConnectionRequest(connection_id=connection_id)
        response = await self._call(self.adapter.CheckConnection(request))
        self.hear(str(response))
        return response

    async def watch(self) -> AsyncGenerator[adapter_pb2.ConnectionStatus, None]:
        """WatchConnections, without a limit of time.

        Raises:
            RefusedError: It ended with a status.
        """
        call = self.adapter.WatchConnections(adapter_pb2.WatchConnectionsRequest())
        try:
            async for response in call:
                self.hear(str(response))
                yield response.status
        except grpc.aio.AioRpcError as error:
            raise RefusedError(Status.of(error)) from None
        finally:
            call.cancel()

    async def media(self, session_id: str, media_id: str) -> bytes:
        """GetMedia, read to its end."""
        request = adapter_pb2.GetMediaRequest(session_id=session_id, media_id=media_id)

        async def read() -> bytes:
            return b"".join([chunk.data async for chunk in self.adapter.GetMedia(request)])

        return await self._call(read())

    async def health(self, service: str, within: timedelta = CALL_LIMIT) -> str:
        """The health of a service, such as "SERVING"."""
        check = self._channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=_serialize,
            response_deserializer=_HealthCheckResponse.FromString,
        )
        response = await self._call(check(_HealthCheckRequest(service=service)), within)
        statuses = _HealthCheckResponse.ServingStatus
        return str(statuses.Name(response.status))

    async def services(self, version: str) -> Sequence[str]:
        """The services that reflection lists, by its version "v1" or "v1alpha"."""
        # Both versions have the same messages on the wire.
        listing = self._channel.stream_stream(
            f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
            request_serializer=_serialize,
            response_deserializer=_ServerReflectionResponse.FromString,
        )(iter([_ServerReflectionRequest(list_services="*")]))

        async def read() -> Sequence[str]:
            found: list[str] = []
            async for response in listing:
                found += [service.name for service in response.list_services_response.service]
            return found

        return await self._call(read())

    async def shutdown(self, within: timedelta) -> None:
        """Shutdown."""
        controller = grpc_controller_pb2_grpc.GRPCControllerStub(self._channel)
        await self._call(controller.Shutdown(grpc_controller_pb2.Empty()), within)


def _serialize(message: Message) -> bytes:
    return message.SerializeToString()
