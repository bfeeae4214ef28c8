"""AdapterAdminService."""

from __future__ import annotations

from collections.abc import AsyncIterator

from mimic.v1 import adapters_pb2 as pb
from mimic.v1.adapters_pb2_grpc import AdapterAdminServiceServicer

from mimic_server.domain.errors import InvalidInputError
from mimic_server.rpc.calls import Context, caller, closing
from mimic_server.rpc.convert import adapters as convert
from mimic_server.rpc.convert import requests
from mimic_server.rpc.convert.enums import LOG_LEVEL, LogLevel
from mimic_server.services.adapters import AdapterService


class AdapterAdminServicer(AdapterAdminServiceServicer):
    """The adapters that this server knows."""

    def __init__(self, adapters: AdapterService) -> None:
        self._adapters = adapters

    async def ListAdapters(
        self, request: pb.ListAdaptersRequest, context: Context
    ) -> pb.ListAdaptersResponse:
        return pb.ListAdaptersResponse(adapters=map(convert.adapter, await self._adapters.list(caller())))

    async def GetAdapter(self, request: pb.GetAdapterRequest, context: Context) -> pb.GetAdapterResponse:
        adapter = await self._adapters.get(caller(), _channel(request.channel))
        return pb.GetAdapterResponse(adapter=convert.adapter(adapter))

    async def RestartAdapter(
        self, request: pb.RestartAdapterRequest, context: Context
    ) -> pb.RestartAdapterResponse:
        adapter = await self._adapters.restart(caller(), _channel(request.channel))
        return pb.RestartAdapterResponse(adapter=convert.adapter(adapter))

    async def EnableAdapter(
        self, request: pb.EnableAdapterRequest, context: Context
    ) -> pb.EnableAdapterResponse:
        adapter = await self._adapters.set_enabled(caller(), _channel(request.channel), enabled=True)
        return pb.EnableAdapterResponse(adapter=convert.adapter(adapter))

    async def DisableAdapter(
        self, request: pb.DisableAdapterRequest, context: Context
    ) -> pb.DisableAdapterResponse:
        adapter = await self._adapters.set_enabled(caller(), _channel(request.channel), enabled=False)
        return pb.DisableAdapterResponse(adapter=convert.adapter(adapter))

    async def WatchLogs(
        self, request: pb.WatchLogsRequest, context: Context
    ) -> AsyncIterator[pb.WatchLogsResponse]:
        level = requests.enum(LOG_LEVEL, request.level, "level") if request.level else LogLevel.TRACE
        lines = self._adapters.logs(
            caller(), _channel(request.channel), follow=request.follow, level=level.value
        )
        async with closing(lines):
            async for line in lines:
                yield convert.log_line(line)


def _channel(text: str) -> str:
    if not text:
        raise InvalidInputError.of("channel", "is required")
    return text
