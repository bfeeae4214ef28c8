"""Use cases of an agent's connections."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from mimic_server.domain.adapters import Connected
from mimic_server.domain.agents import Agent, Connection, ConnectionSpec
from mimic_server.domain.errors import FaultError, InvalidInputError, NotFoundError
from mimic_server.domain.faults import FaultSource
from mimic_server.domain.ids import AgentId, ConnectionId, new_uuid
from mimic_server.domain.ports import Adapters, Storage, UnitOfWork
from mimic_server.domain.teams import Principal
from mimic_server.services.agents import refuse_while_in_use
from mimic_server.services.clock import Clock, utc_now
from mimic_server.services.connector import Connector, failed
from mimic_server.services.repeats import uncontended
from mimic_server.services.secrets import restored

_Put = Callable[[UnitOfWork, tuple[Connection, ...]], Awaitable[tuple[Connection, ...]]]


@dataclass(frozen=True, slots=True)
class ConnectionChanged:
    """What adding or replacing a connection answered."""

    agent: Agent
    """Secrets hidden."""
    connection: Connection
    """Secrets hidden."""
    setup: Connected


class ConnectionService:
    """The ways to reach a team's agents. Answers hide secrets."""

    def __init__(self, storage: Storage, adapters: Adapters, *, clock: Clock = utc_now) -> None:
        self._storage = storage
        self._adapters = adapters
        self._connector = Connector(adapters)
        self._clock = clock

    async def add(self, principal: Principal, agent_id: AgentId, spec: ConnectionSpec) -> ConnectionChanged:
        """Adds a connection and brings it up.

        Raises:
            NotFoundError: There is no such agent.
            InvalidInputError: The adapter refuses the settings or is not there; fields `connection...`.
            FaultError: The adapter does not start, or the platform refuses the credentials.
        """
        await self._agent(principal, agent_id)
        settings = restored(spec.settings, {}, "connection.settings")
        new = Connection(ConnectionId(new_uuid()), spec.model_copy(update={"settings": settings}))

        async def with_new(_: UnitOfWork, old: tuple[Connection, ...]) -> tuple[Connection, ...]:
            return (*old, new)

        return await self._connect(principal, agent_id, new, with_new)

    async def replace(
        self,
        principal: Principal,
        agent_id: AgentId,
        connection_id: ConnectionId,
        spec: ConnectionSpec,
    ) -> ConnectionChanged:
        """Replaces a connection's mode and settings; a secret given as `[stored]` keeps its value.

        Raises:
            NotFoundError: There is no such agent or connection.
            InvalidInputError: As for `add`, or the channel is another one.
            FaultError: As for `add`.
        """
        old = _of(await self._agent(principal, agent_id), connection_id)
        if spec.channel != old.spec.channel:
            raise InvalidInputError.of(
                "connection.channel",
                f'is "{old.spec.channel}" and cannot be changed: add another connection instead',
            )
        settings = restored(spec.settings, old.spec.settings, "connection.settings")
        new = Connection(connection_id, spec.model_copy(update={"settings": settings}))

        async def with_new(_: UnitOfWork, connections: tuple[Connection, ...]) -> tuple[Connection, ...]:
            if all(c.id != connection_id for c in connections):
                raise NotFoundError("connection", connection_id)
            return tuple(new if c.id == connection_id else c for c in connections)

        return await self._connect(principal, agent_id, new, with_new)

    async def remove(self, principal: Principal, agent_id: AgentId, connection_id: ConnectionId) -> Agent:
        """Takes a connection down and forgets it.

        Raises:
            NotFoundError: There is no such agent or connection.
            PreconditionError: Sessions over it are under way.
        """
        removed = _of(await self._agent(principal, agent_id), connection_id)

        async def without(unit: UnitOfWork, old: tuple[Connection, ...]) -> tuple[Connection, ...]:
            await refuse_while_in_use(unit, "connection", connection_id=connection_id)
            return tuple(c for c in old if c.id != connection_id)

        agent = await self._change(principal, agent_id, without)
        await self._connector.drop([removed])
        return await self._connector.hidden(agent)

    async def check(self, principal: Principal, agent_id: AgentId, connection_id: ConnectionId) -> Connected:
        """Probes a connection. What it finds is in the answer, a refusal of the platform too.

        Raises:
            NotFoundError: There is no such agent or connection.
            FaultError: The adapter does not start; an ADAPTER fault.
        """
        connection = _of(await self._agent(principal, agent_id), connection_id)
        try:
            connected = await self._connector.connect(connection, "connection")
            return replace(connected, status=await self._adapters.check(connection))
        except FaultError as error:
            if error.fault.source is FaultSource.ADAPTER:
                raise
            return Connected(failed(connection, error))
        except (InvalidInputError, NotFoundError) as error:
            return Connected(failed(connection, error))

    async def _agent(self, principal: Principal, agent_id: AgentId) -> Agent:
        async with self._storage.team(principal.team_id) as unit:
            return await unit.agents.get(agent_id)

    async def _change(
        self,
        principal: Principal,
        agent_id: AgentId,
        put: _Put,
    ) -> Agent:
        async def change() -> Agent:
            async with self._storage.team(principal.team_id) as unit:
                old = await unit.agents.get(agent_id)
                new = replace(
                    old,
                    connections=await put(unit, old.connections),
                    updated_at=self._clock(),
                    etag=old.etag + 1,
                )
                await unit.agents.save(new, if_etag=old.etag)
            return new

        return await uncontended(change)

    async def _connect(
        self, principal: Principal, agent_id: AgentId, connection: Connection, put: _Put
    ) -> ConnectionChanged:
        """Brings a connection up and stores it, or else leaves nothing up that is not stored."""
        agent = None
        try:
            setup = await self._connector.connect(connection, "connection")
            agent = await self._change(principal, agent_id, put)
        finally:
            if agent is None:
                await self._connector.drop([connection])
        hidden = await self._connector.hidden(agent)
        return ConnectionChanged(hidden, _of(hidden, connection.id), setup)


def _of(agent: Agent, connection_id: ConnectionId) -> Connection:
    found = agent.connection(connection_id)
    if found is None:
        raise NotFoundError("connection", connection_id)
    return found
