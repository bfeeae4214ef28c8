"""Use cases of personas."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from mimic_server.domain.bootstraps import BootstrapOptions
from mimic_server.domain.ids import AgentId, PersonaId, new_uuid
from mimic_server.domain.messages import Usage
from mimic_server.domain.personas import Persona, PersonaSpec
from mimic_server.domain.ports import LanguageModel, Listing, Page, Storage
from mimic_server.domain.teams import Principal
from mimic_server.services.clock import Clock, utc_now
from mimic_server.services.drafting import draft_personas, taken_names
from mimic_server.services.patches import Patch
from mimic_server.services.repeats import once, uncontended


@dataclass(frozen=True, slots=True)
class PersonaDrafts:
    """Personas that a language model wrote; nothing is stored."""

    personas: Sequence[PersonaSpec]
    usage: Usage


class PersonaService:
    """The simulated people of a team's agents."""

    def __init__(self, storage: Storage, model: LanguageModel, *, clock: Clock = utc_now) -> None:
        self._storage = storage
        self._model = model
        self._clock = clock

    async def create(
        self, principal: Principal, agent_id: AgentId, spec: PersonaSpec, request_id: str = ""
    ) -> Persona:
        """Stores a persona. Raises NotFoundError for the agent."""
        now = self._clock()
        persona = Persona(
            PersonaId(new_uuid()), principal.team_id, agent_id, spec, now, now, request_id=request_id
        )

        async def store() -> Persona:
            async with self._storage.team(principal.team_id) as unit:
                earlier = await unit.personas.by_request_id(request_id)
                if earlier is None:
                    await unit.agents.get(agent_id)
                    await unit.personas.add(persona)
            return earlier or persona

        return await once(store)

    async def get(self, principal: Principal, persona_id: PersonaId) -> Persona:
        """Raises NotFoundError."""
        async with self._storage.team(principal.team_id) as unit:
            return await unit.personas.get(persona_id)

    async def list(
        self, principal: Principal, page: Page, *, agent_id: AgentId | None = None
    ) -> Listing[Persona]:
        """The personas of one agent, or all. Raises InvalidInputError for a foreign page token."""
        filters: dict[str, Any] = {} if agent_id is None else {"agent_id": agent_id}
        async with self._storage.team(principal.team_id) as unit:
            return await unit.personas.list(page, **filters)

    async def update(self, principal: Principal, persona_id: PersonaId, patch: Patch) -> Persona:
        """Changes fields of a persona.

        Raises:
            NotFoundError: There is no such persona.
            InvalidInputError: Of the changed fields; paths begin with `persona`.
            ConflictError: The patch names another etag than the stored one.
        """

        async def change() -> Persona:
            async with self._storage.team(principal.team_id) as unit:
                old = await unit.personas.get(persona_id)
                patch.check(old.etag)
                new = replace(
                    old,
                    spec=patch.apply(old.spec, "persona"),
                    updated_at=self._clock(),
                    etag=old.etag + 1,
                )
                await unit.personas.save(new, if_etag=old.etag)
            return new

        return await uncontended(change, named_etag=patch.etag is not None)

    async def delete(self, principal: Principal, persona_id: PersonaId) -> None:
        """Raises NotFoundError."""
        async with self._storage.team(principal.team_id) as unit:
            await unit.personas.remove(persona_id)

    async def generate(
        self, principal: Principal, agent_id: AgentId, options: BootstrapOptions
    ) -> PersonaDrafts:
        """Drafts `options.personas` personas with the language model.

        Raises:
            NotFoundError: There is no such agent.
            FaultError: The language model failed; a SIMULATOR fault.
        """
        async with self._storage.team(principal.team_id) as unit:
            agent = await unit.agents.get(agent_id)
            taken, _ = await taken_names(unit, agent_id)
        spent = Usage()

        async def drafted(usage: Usage, _: int) -> None:
            nonlocal spent
            spent += usage

        personas = await draft_personas(self._model, agent.spec, options, taken, drafted)
        return PersonaDrafts(personas, spent)
