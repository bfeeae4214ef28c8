"""Use cases of agents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from mimic_server.domain.adapters import Connected
from mimic_server.domain.agents import Agent, AgentSpec, Connection, ConnectionSpec
from mimic_server.domain.bootstraps import Bootstrap, BootstrapOptions
from mimic_server.domain.errors import PreconditionError
from mimic_server.domain.ids import AgentId, BootstrapId, ConnectionId, new_uuid
from mimic_server.domain.ports import Adapters, Listing, Orchestrator, Page, Storage, UnitOfWork
from mimic_server.domain.runs import JobState
from mimic_server.domain.sessions import SessionState
from mimic_server.domain.teams import Principal
from mimic_server.services.clock import Clock, utc_now
from mimic_server.services.connector import Connector
from mimic_server.services.patches import Patch
from mimic_server.services.repeats import once, uncontended
from mimic_server.services.secrets import restored

UNDER_WAY = tuple(state for state in SessionState if not state.ended)
"""States of a session that is not over."""


@dataclass(frozen=True, slots=True)
class AgentCreated:
    """What creating an agent answered."""

    agent: Agent
    """Secrets hidden."""
    bootstrap: Bootstrap | None
    """None: none was asked for."""
    setups: Sequence[Connected]
    """How each connection came up."""


class AgentService:
    """A team's agents under test. Answers hide the secrets of their connections."""

    def __init__(
        self,
        storage: Storage,
        adapters: Adapters,
        orchestrator: Orchestrator,
        *,
        clock: Clock = utc_now,
    ) -> None:
        self._storage = storage
        self._connector = Connector(adapters)
        self._orchestrator = orchestrator
        self._clock = clock

    async def create(
        self,
        principal: Principal,
        spec: AgentSpec,
        connections: Sequence[ConnectionSpec] = (),
        bootstrap: BootstrapOptions | None = None,
        request_id: str = "",
    ) -> AgentCreated:
        """Stores an agent with its connections and, on request, its bootstrap, which begins.

        Raises:
            InvalidInputError: An adapter refuses settings or is not there; fields `connections[<n>]...`.
            FaultError: An adapter does not start, or the platform refuses the credentials.
        """
        async with self._storage.team(principal.team_id) as unit:
            earlier = await unit.agents.by_request_id(request_id)
        if earlier is not None:
            return await self._repeated(principal, earlier)
        new = self._new(principal, spec, connections, request_id)
        begun = self._begun(new, bootstrap)

        async def store() -> Agent:
            async with self._storage.team(principal.team_id) as unit:
                meanwhile = await unit.agents.by_request_id(request_id)
                if meanwhile is None:
                    await unit.agents.add(new)
                    if begun is not None:
                        await unit.bootstraps.add(begun)
            return meanwhile or new

        setups = []
        stored = None
        try:
            for index, connection in enumerate(new.connections):
                setups.append(await self._connector.connect(connection, f"connections[{index}]"))
            stored = await once(store)
        finally:
            if stored is not new:
                await self._connector.drop(new.connections)
        if stored is not new:
            return await self._repeated(principal, stored)
        if begun is not None:
            await self._orchestrator.start_bootstrap(principal.team_id, begun.id)
        return AgentCreated(await self._connector.hidden(new), begun, setups)

    async def get(self, principal: Principal, agent_id: AgentId) -> Agent:
        """Raises NotFoundError."""
        async with self._storage.team(principal.team_id) as unit:
            agent = await unit.agents.get(agent_id)
        return await self._connector.hidden(agent)

    async def list(self, principal: Principal, page: Page) -> Listing[Agent]:
        """The team's agents. Raises InvalidInputError for a foreign page token."""
        async with self._storage.team(principal.team_id) as unit:
            listing = await unit.agents.list(page)
        return Listing(tuple([await self._connector.hidden(a) for a in listing.items]), listing.next_token)

    async def update(self, principal: Principal, agent_id: AgentId, patch: Patch) -> Agent:
        """Changes fields of an agent.

        Raises:
            NotFoundError: There is no such agent.
            InvalidInputError: Of the changed fields; paths begin with `agent`.
            ConflictError: The patch names another etag than the stored one.
        """

        async def change() -> Agent:
            async with self._storage.team(principal.team_id) as unit:
                old = await unit.agents.get(agent_id)
                patch.check(old.etag)
                new = replace(
                    old,
                    spec=patch.apply(old.spec, "agent"),
                    updated_at=self._clock(),
                    etag=old.etag + 1,
                )
                await unit.agents.save(new, if_etag=old.etag)
            return new

        changed = await uncontended(change, named_etag=patch.etag is not None)
        return await self._connector.hidden(changed)

    async def delete(self, principal: Principal, agent_id: AgentId) -> None:
        """Deletes an agent with all that belongs to it.

        Raises:
            NotFoundError: There is no such agent.
            PreconditionError: Sessions of it are under way.
        """
        async with self._storage.team(principal.team_id) as unit:
            agent = await unit.agents.get(agent_id)
            await refuse_while_in_use(unit, "agent", agent_id=agent_id)
            await unit.agents.remove(agent_id)
        await self._connector.drop(agent.connections)

    def _new(
        self, principal: Principal, spec: AgentSpec, connections: Sequence[ConnectionSpec], request_id: str
    ) -> Agent:
        now = self._clock()
        added = []
        for index, given in enumerate(connections):
            settings = restored(given.settings, {}, f"connections[{index}].settings")
            added.append(
                Connection(ConnectionId(new_uuid()), given.model_copy(update={"settings": settings}))
            )
        return Agent(
            AgentId(new_uuid()), principal.team_id, spec, now, now, tuple(added), request_id=request_id
        )

    def _begun(self, agent: Agent, options: BootstrapOptions | None) -> Bootstrap | None:
        if options is None:
            return None
        return Bootstrap(
            BootstrapId(new_uuid()),
            agent.team_id,
            agent.id,
            options,
            JobState.PENDING,
            agent.created_at,
            agent.created_at,
            request_id=_bootstrap_request(agent),
        )

    async def _repeated(self, principal: Principal, agent: Agent) -> AgentCreated:
        """Answers a creation that was asked for again, and finishes what the first one left undone."""
        async with self._storage.team(principal.team_id) as unit:
            bootstrap = await unit.bootstraps.by_request_id(_bootstrap_request(agent))
        if bootstrap is not None and not bootstrap.state.ended:
            await self._orchestrator.start_bootstrap(principal.team_id, bootstrap.id)
        setups = [await self._connector.setup(connection) for connection in agent.connections]
        return AgentCreated(await self._connector.hidden(agent), bootstrap, setups)


def _bootstrap_request(agent: Agent) -> str:
    """The request id of the bootstrap that came with an agent: the caller's own names the agent alone."""
    return f"agent:{agent.id}"


async def refuse_while_in_use(unit: UnitOfWork, what: str, **of: Any) -> None:
    """Raises PreconditionError while sessions are under way."""
    listing = await unit.sessions.list(Page(size=1), state=UNDER_WAY, **of)
    if listing.items:
        raise PreconditionError(
            "SESSIONS_UNDER_WAY",
            f"sessions of this {what} are under way, such as {listing.items[0].id}: cancel them first",
        )
