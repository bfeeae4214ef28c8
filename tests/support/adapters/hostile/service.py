"""The services of an adapter: as they should be, but where the behaviour says otherwise."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
from google.protobuf import json_format
from grpc_health.v1 import health_pb2, health_pb2_grpc
from mimic.adapter.v1 import adapter_pb2, adapter_pb2_grpc, conversation_pb2
from mimic.launch import grpc_controller_pb2, grpc_controller_pb2_grpc, grpc_stdio_pb2, grpc_stdio_pb2_grpc

from tests.support.adapters.hostile.status import abort
from tests.support.adapters.hostile.talk import Talk

SCHEMA = """{"type": "object", "properties": {
  "token": {"type": "string", "writeOnly": true},
  "answer": {"type": "string"}}}"""


class Adapter(adapter_pb2_grpc.AdapterServiceServicer):
    """The adapter."""

    def __init__(self, behaviour: str) -> None:
        self.behaviour = behaviour
        self.epoch = os.urandom(8).hex()
        self.connections: dict[str, dict[str, Any]] = {}
        self.changed = asyncio.Condition()
        self.talks: dict[str, Talk] = {}

    async def GetManifest(self, request: Any, context: Any) -> Any:
        if self.behaviour == "hang-manifest":
            await asyncio.Event().wait()
        manifest = adapter_pb2.Manifest(
            name=f"mimic-adapter-{self.behaviour}",
            version="1",
            channel="other" if self.behaviour == "other-channel" else self.behaviour,
            modes=[adapter_pb2.MODE_EMULATOR],
            settings_schema_json="[]" if self.behaviour == "bad-schema" else SCHEMA,
        )
        able = manifest.capabilities
        able.resumable = able.idempotent_send = able.typing = able.turn_complete = True
        able.max_unacked_events = 8
        able.max_text_chars = 1000
        able.max_concurrent_sessions = 2 if self.behaviour == "small" else 0
        return adapter_pb2.GetManifestResponse(manifest=manifest)

    async def Connect(self, request: Any, context: Any) -> Any:
        settings = json_format.MessageToDict(request.settings)
        token, answer = settings.get("token", ""), settings.get("answer", "")
        if self.behaviour == "hang-connect" or answer == "hang":
            await asyncio.Event().wait()
        if answer == "crash":
            os._exit(9)
        if answer == "invalid":
            text = f"the token {token} is no token"
            await abort(context, grpc.StatusCode.INVALID_ARGUMENT, text, field="settings.token")
        if answer == "refused":
            text = f"the platform refuses {token}"
            await abort(
                context,
                grpc.StatusCode.UNAUTHENTICATED,
                text,
                reason="TOKEN_REVOKED",
                fault_source="CHANNEL",
                remedy="make another token",
            )
        if answer == "unreachable":
            text = "nobody answers"
            code = grpc.StatusCode.UNAVAILABLE
            await abort(context, code, text, reason="UNREACHABLE", fault_source="AGENT")
        self.connections[request.connection_id] = settings
        os.write(2, f"connected {request.connection_id} with {token}\n".encode())
        response = adapter_pb2.ConnectResponse()
        response.status.connection_id = request.connection_id
        response.status.state = adapter_pb2.CONNECTION_STATE_READY
        response.agent_settings.add(name="Base", value="http://127.0.0.1:1", env_var="BASE")
        return response

    async def Disconnect(self, request: Any, context: Any) -> Any:
        self.connections.pop(request.connection_id, None)
        return adapter_pb2.DisconnectResponse()

    async def CheckConnection(self, request: Any, context: Any) -> Any:
        if request.connection_id not in self.connections:
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such connection")
        response = adapter_pb2.CheckConnectionResponse()
        response.status.connection_id = request.connection_id
        response.status.state = adapter_pb2.CONNECTION_STATE_DEGRADED
        response.status.reason = "slow"
        response.took.FromMilliseconds(12)
        return response

    async def WatchConnections(self, request: Any, context: Any) -> AsyncIterator[Any]:
        while True:
            async with self.changed:
                await self.changed.wait()
            for connection_id in self.connections:
                response = adapter_pb2.WatchConnectionsResponse()
                response.status.connection_id = connection_id
                response.status.state = adapter_pb2.CONNECTION_STATE_BAD_CREDENTIALS
                response.status.reason = "the platform logged us out"
                yield response

    async def Converse(self, requests: Any, context: Any) -> None:  # type: ignore[override]
        first = conversation_pb2.ConverseRequest.FromString(await context.read())
        asked = first.items[0].open
        if asked.connection_id not in self.connections:
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such connection")
        talk = Talk(self, context, asked)
        if asked.HasField("resume") and asked.session_id in self.talks:
            talk.resume_from(self.talks[asked.session_id])
        self.talks[asked.session_id] = talk
        await talk.run()

    async def GetMedia(self, request: Any, context: Any) -> AsyncIterator[Any]:
        if request.media_id == "endless":
            while True:
                yield adapter_pb2.GetMediaResponse(data=b"x" * 262144)
        if request.media_id != "picture":
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such file")
        for piece in (b"first ", b"second"):
            yield adapter_pb2.GetMediaResponse(data=piece)

    async def tell_changes(self) -> None:
        """Tells watchers that all connections have lost their credentials."""
        async with self.changed:
            self.changed.notify_all()

    def forget_connections(self) -> None:
        """Loses its connections without a word."""
        self.connections.clear()


class Health(health_pb2_grpc.HealthServicer):
    """Says that the adapter serves."""

    def Check(self, request: Any, context: Any) -> Any:
        return health_pb2.HealthCheckResponse(status=health_pb2.HealthCheckResponse.SERVING)


class Controller(grpc_controller_pb2_grpc.GRPCControllerServicer):
    """Ends the adapter."""

    def __init__(self, behaviour: str, over: asyncio.Event) -> None:
        self.behaviour = behaviour
        self.over = over

    async def Shutdown(self, request: Any, context: Any) -> Any:
        if self.behaviour == "hang-shutdown":
            await asyncio.Event().wait()
        if self.behaviour != "ignore-sigterm":
            self.over.set()
        return grpc_controller_pb2.Empty()


class Stdio(grpc_stdio_pb2_grpc.GRPCStdioServicer):
    """Hands on what the adapter prints, as adapters in Go do; so long as there is only this."""

    async def StreamStdio(self, request: Any, context: Any) -> AsyncIterator[Any]:
        for channel in (grpc_stdio_pb2.StdioData.STDOUT, grpc_stdio_pb2.StdioData.STDERR):
            yield grpc_stdio_pb2.StdioData(channel=channel, data=b"[INFO] printed\n")


class RawConverse:
    """Registers handlers with a server; those of Converse take and give bytes, as garbage is no message."""

    def __init__(self, server: Any) -> None:
        self.server = server

    def add_generic_rpc_handlers(self, handlers: Any) -> None:
        """The generated code calls it too; registered methods are all that is needed."""

    def add_registered_method_handlers(self, name: str, handlers: dict[str, Any]) -> None:
        raw: Any = grpc.stream_stream_rpc_method_handler(handlers["Converse"].stream_stream)
        self.server.add_registered_method_handlers(name, handlers | {"Converse": raw})


def credentials(directory: str) -> grpc.ServerCredentials:
    """Mutual TLS with the certificates of a directory."""
    chain, key, root = (Path(directory, name).read_bytes() for name in ("server.pem", "server.key", "ca.pem"))
    return grpc.ssl_server_credentials([(key, chain)], root, require_client_auth=True)


async def serve(behaviour: str, address: str, listening: Callable[[int], None], certificates: str) -> None:
    """Serves until it is told to end."""
    over = asyncio.Event()
    server = grpc.aio.server(options=[("grpc.max_send_message_length", -1)])
    registering: Any = RawConverse(server)
    adapter_pb2_grpc.add_AdapterServiceServicer_to_server(Adapter(behaviour), registering)
    health_pb2_grpc.add_HealthServicer_to_server(Health(), server)
    if behaviour == "stdio":
        grpc_stdio_pb2_grpc.add_GRPCStdioServicer_to_server(Stdio(), server)
    grpc_controller_pb2_grpc.add_GRPCControllerServicer_to_server(Controller(behaviour, over), server)
    if certificates:
        port = server.add_secure_port(address, credentials(certificates))
    else:
        port = server.add_insecure_port(address)
    await server.start()
    if behaviour != "ignore-sigterm":
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)
    listening(port)
    await over.wait()
    await server.stop(0)
