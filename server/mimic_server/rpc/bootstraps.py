"""BootstrapService."""

from __future__ import annotations

from collections.abc import AsyncIterator

from mimic.v1 import bootstraps_pb2 as pb
from mimic.v1.bootstraps_pb2_grpc import BootstrapServiceServicer

from mimic_server.domain.ids import AgentId, BootstrapId
from mimic_server.rpc.calls import Context, caller, closing
from mimic_server.rpc.convert import bootstraps as convert
from mimic_server.rpc.convert import requests
from mimic_server.services.bootstraps import BootstrapService


class BootstrapServicer(BootstrapServiceServicer):
    """Personas and evaluations drafted for agents."""

    def __init__(self, bootstraps: BootstrapService) -> None:
        self._bootstraps = bootstraps

    async def StartBootstrap(
        self, request: pb.StartBootstrapRequest, context: Context
    ) -> pb.StartBootstrapResponse:
        bootstrap = await self._bootstraps.start(
            caller(),
            AgentId(requests.uuid(request.agent_id, "agent_id")),
            convert.read_options(request.options, "options"),
            requests.request_id(request.request_id),
        )
        return pb.StartBootstrapResponse(bootstrap=convert.bootstrap(bootstrap))

    async def GetBootstrap(
        self, request: pb.GetBootstrapRequest, context: Context
    ) -> pb.GetBootstrapResponse:
        bootstrap = await self._bootstraps.get(caller(), _bootstrap_id(request.bootstrap_id))
        return pb.GetBootstrapResponse(bootstrap=convert.bootstrap(bootstrap))

    async def ListBootstraps(
        self, request: pb.ListBootstrapsRequest, context: Context
    ) -> pb.ListBootstrapsResponse:
        agent_id = requests.optional_uuid(request.agent_id, "agent_id")
        page = requests.page(request.page_size, request.page_token)
        listing = await self._bootstraps.list(
            caller(), page, agent_id=AgentId(agent_id) if agent_id else None
        )
        return pb.ListBootstrapsResponse(
            bootstraps=map(convert.bootstrap, listing.items), next_page_token=listing.next_token
        )

    async def CancelBootstrap(
        self, request: pb.CancelBootstrapRequest, context: Context
    ) -> pb.CancelBootstrapResponse:
        bootstrap = await self._bootstraps.cancel(caller(), _bootstrap_id(request.bootstrap_id))
        return pb.CancelBootstrapResponse(bootstrap=convert.bootstrap(bootstrap))

    async def WatchBootstrap(
        self, request: pb.WatchBootstrapRequest, context: Context
    ) -> AsyncIterator[pb.WatchBootstrapResponse]:
        bootstrap_id = _bootstrap_id(request.bootstrap_id)
        async with closing(self._bootstraps.watch(caller(), bootstrap_id)) as changes:
            async for bootstrap in changes:
                yield pb.WatchBootstrapResponse(bootstrap=convert.bootstrap(bootstrap))


def _bootstrap_id(text: str) -> BootstrapId:
    return BootstrapId(requests.uuid(text, "bootstrap_id"))
