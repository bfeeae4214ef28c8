"""ServerService."""

from __future__ import annotations

from mimic.v1 import server_pb2 as pb
from mimic.v1.server_pb2_grpc import ServerServiceServicer

from mimic_server.rpc.calls import Context, caller
from mimic_server.rpc.convert.values import timestamp
from mimic_server.services.server import ServerService


class ServerServicer(ServerServiceServicer):
    """The server itself."""

    def __init__(self, server: ServerService) -> None:
        self._server = server

    async def GetInfo(self, request: pb.GetInfoRequest, context: Context) -> pb.GetInfoResponse:
        info, schema_revision = await self._server.info(caller())
        return pb.GetInfoResponse(
            version=info.version,
            roles=info.roles,
            schema_revision=schema_revision,
            model=info.model,
            scripted=info.scripted,
            orchestrator=info.orchestrator,
            database=info.database,
            start_time=timestamp(info.started_at),
        )

    async def GetEffectiveSettings(
        self, request: pb.GetEffectiveSettingsRequest, context: Context
    ) -> pb.GetEffectiveSettingsResponse:
        settings = await self._server.effective_settings(caller())
        return pb.GetEffectiveSettingsResponse(
            settings=[pb.EffectiveSetting(name=s.name, value=s.value, source=s.source) for s in settings]
        )
