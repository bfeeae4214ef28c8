"""AgentService."""

from __future__ import annotations

from mimic.v1 import agents_pb2 as pb
from mimic.v1.agents_pb2_grpc import AgentServiceServicer

from mimic_server.domain.errors import NotFoundError
from mimic_server.domain.ids import AgentId, ConnectionId
from mimic_server.rpc.calls import Context, caller
from mimic_server.rpc.convert import agents as convert
from mimic_server.rpc.convert import bootstraps as convert_bootstraps
from mimic_server.rpc.convert import requests
from mimic_server.services.agents import AgentService
from mimic_server.services.connections import ConnectionService


class AgentServicer(AgentServiceServicer):
    """Agents and the connections that reach them."""

    def __init__(self, agents: AgentService, connections: ConnectionService) -> None:
        self._agents = agents
        self._connections = connections

    async def CreateAgent(self, request: pb.CreateAgentRequest, context: Context) -> pb.CreateAgentResponse:
        connections = [
            convert.read_connection(proto, f"connections[{index}]")
            for index, proto in enumerate(request.connections)
        ]
        bootstrap = None
        if request.HasField("bootstrap"):
            bootstrap = convert_bootstraps.read_options(request.bootstrap, "bootstrap")
        created = await self._agents.create(
            caller(),
            convert.read_agent(request.agent, "agent"),
            connections,
            bootstrap,
            requests.request_id(request.request_id),
        )
        return pb.CreateAgentResponse(
            agent=convert.agent(created.agent),
            bootstrap=convert_bootstraps.bootstrap(created.bootstrap) if created.bootstrap else None,
            connection_setups=convert.setups(created.setups),
        )

    async def GetAgent(self, request: pb.GetAgentRequest, context: Context) -> pb.GetAgentResponse:
        agent = await self._agents.get(caller(), _agent_id(request.agent_id))
        return pb.GetAgentResponse(agent=convert.agent(agent))

    async def ListAgents(self, request: pb.ListAgentsRequest, context: Context) -> pb.ListAgentsResponse:
        page = requests.page(request.page_size, request.page_token)
        listing = await self._agents.list(caller(), page)
        return pb.ListAgentsResponse(
            agents=map(convert.agent, listing.items), next_page_token=listing.next_token
        )

    async def UpdateAgent(self, request: pb.UpdateAgentRequest, context: Context) -> pb.UpdateAgentResponse:
        agent_id = _agent_id(request.agent.id, "agent.id")
        patch = requests.patch(request.agent, request.update_mask, "agent", fixed=convert.FIXED)
        agent = await self._agents.update(caller(), agent_id, patch)
        return pb.UpdateAgentResponse(agent=convert.agent(agent))

    async def DeleteAgent(self, request: pb.DeleteAgentRequest, context: Context) -> pb.DeleteAgentResponse:
        await self._agents.delete(caller(), _agent_id(request.agent_id))
        return pb.DeleteAgentResponse()

    async def AddConnection(
        self, request: pb.AddConnectionRequest, context: Context
    ) -> pb.AddConnectionResponse:
        agent_id = _agent_id(request.agent_id)
        spec = convert.read_connection(request.connection, "connection")
        changed = await self._connections.add(caller(), agent_id, spec)
        return pb.AddConnectionResponse(
            agent=convert.agent(changed.agent),
            connection=convert.connection(changed.connection),
            setup=convert.setup(changed.setup),
        )

    async def UpdateConnection(
        self, request: pb.UpdateConnectionRequest, context: Context
    ) -> pb.UpdateConnectionResponse:
        agent_id = _agent_id(request.agent_id)
        connection_id = _connection_id(request.connection.id, "connection.id")
        proto = request.connection
        if not proto.channel:
            # The channel cannot change, so it need not be said again.
            stored = (await self._agents.get(caller(), agent_id)).connection(connection_id)
            if stored is None:
                raise NotFoundError("connection", connection_id)
            proto.channel = stored.spec.channel
        spec = convert.read_connection(proto, "connection")
        changed = await self._connections.replace(caller(), agent_id, connection_id, spec)
        return pb.UpdateConnectionResponse(
            agent=convert.agent(changed.agent), setup=convert.setup(changed.setup)
        )

    async def RemoveConnection(
        self, request: pb.RemoveConnectionRequest, context: Context
    ) -> pb.RemoveConnectionResponse:
        agent = await self._connections.remove(
            caller(), _agent_id(request.agent_id), _connection_id(request.connection_id)
        )
        return pb.RemoveConnectionResponse(agent=convert.agent(agent))

    async def CheckConnection(
        self, request: pb.CheckConnectionRequest, context: Context
    ) -> pb.CheckConnectionResponse:
        setup = await self._connections.check(
            caller(), _agent_id(request.agent_id), _connection_id(request.connection_id)
        )
        return pb.CheckConnectionResponse(setup=convert.setup(setup), took_ms=setup.status.took_ms or 0.0)


def _agent_id(text: str, field: str = "agent_id") -> AgentId:
    return AgentId(requests.uuid(text, field))


def _connection_id(text: str, field: str = "connection_id") -> ConnectionId:
    return ConnectionId(requests.uuid(text, field))
