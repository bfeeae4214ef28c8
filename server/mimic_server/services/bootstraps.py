"""Use cases of bootstraps: personas and evaluations drafted for an agent, and saved together."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import structlog

from mimic_server.domain.agents import Agent
from mimic_server.domain.bootstraps import Bootstrap, BootstrapOptions, BootstrapStep
from mimic_server.domain.errors import FaultError, MimicError, NotFoundError, RetriableError
from mimic_server.domain.evaluations import Evaluation, EvaluationSpec
from mimic_server.domain.ids import AgentId, BootstrapId, EvaluationId, PersonaId, TeamId, new_uuid
from mimic_server.domain.messages import Usage
from mimic_server.domain.personas import Persona, PersonaSpec
from mimic_server.domain.ports import LanguageModel, Listing, Orchestrator, Page, Storage, Work
from mimic_server.domain.runs import JobState
from mimic_server.domain.teams import Principal
from mimic_server.services.clock import Clock, utc_now
from mimic_server.services.drafting import draft_evaluations, draft_personas, taken_names
from mimic_server.services.feed import Feed, Lagged, Subscription, Topic
from mimic_server.services.repeats import once, uncontended

_LOOK_SECONDS = 2.0
"""How often the database is asked for what another process changed; what this one changes is seen at once."""

log = structlog.get_logger("mimic.bootstraps")


@dataclass(frozen=True, slots=True)
class _Drafts:
    personas: Sequence[PersonaSpec]
    evaluations: Sequence[EvaluationSpec]


class BootstrapService:
    """Bootstraps, from their start to the personas and evaluations that they save."""

    def __init__(
        self,
        storage: Storage,
        model: LanguageModel,
        orchestrator: Orchestrator,
        feed: Feed,
        *,
        clock: Clock = utc_now,
    ) -> None:
        self._storage = storage
        self._model = model
        self._orchestrator = orchestrator
        self._feed = feed
        self._clock = clock

    async def start(
        self, principal: Principal, agent_id: AgentId, options: BootstrapOptions, request_id: str = ""
    ) -> Bootstrap:
        """Stores a bootstrap and begins it. A repeated request id returns the first answer.

        Raises:
            NotFoundError: There is no such agent.
        """
        now = self._clock()
        new = Bootstrap(
            BootstrapId(new_uuid()),
            principal.team_id,
            agent_id,
            options,
            JobState.PENDING,
            now,
            now,
            model=self._model.name,
            request_id=request_id,
        )

        async def store() -> Bootstrap:
            async with self._storage.team(principal.team_id) as unit:
                earlier = await unit.bootstraps.by_request_id(request_id)
                if earlier is None:
                    await unit.agents.get(agent_id)
                    await unit.bootstraps.add(new)
            return earlier or new

        bootstrap = await once(store)
        if not bootstrap.state.ended:
            await self._orchestrator.start_bootstrap(bootstrap.team_id, bootstrap.id)
        return bootstrap

    async def get(self, principal: Principal, bootstrap_id: BootstrapId) -> Bootstrap:
        """Raises NotFoundError."""
        return await self._stored(principal.team_id, bootstrap_id)

    async def list(
        self, principal: Principal, page: Page, *, agent_id: AgentId | None = None
    ) -> Listing[Bootstrap]:
        """Those for one agent, or all of the team. Raises InvalidInputError for a foreign page token."""
        filters: dict[str, Any] = {} if agent_id is None else {"agent_id": agent_id}
        async with self._storage.team(principal.team_id) as unit:
            return await unit.bootstraps.list(page, **filters)

    async def cancel(self, principal: Principal, bootstrap_id: BootstrapId) -> Bootstrap:
        """Asks for a bootstrap to end. One that has ended stays as it is. Raises NotFoundError."""
        bootstrap = await self._change(principal.team_id, bootstrap_id, cancel_requested=True)
        if not bootstrap.state.ended:
            await self._orchestrator.cancel(Work("bootstrap", bootstrap.team_id, bootstrap.id))
        return bootstrap

    async def watch(self, principal: Principal, bootstrap_id: BootstrapId) -> AsyncIterator[Bootstrap]:
        """The bootstrap now, then after each change; ends with the bootstrap. Raises NotFoundError."""
        with self._feed.subscribe(_topic(bootstrap_id)) as news:
            seen = 0
            bootstrap = await self.get(principal, bootstrap_id)
            while True:
                if bootstrap.rev > seen:
                    seen = bootstrap.rev
                    yield bootstrap
                if bootstrap.state.ended:
                    return
                bootstrap = await _next(news) or await self.get(principal, bootstrap_id)

    async def execute(self, team_id: TeamId, bootstrap_id: BootstrapId) -> Bootstrap:
        """Does what is left to do of a bootstrap, and returns it as it ended.

        It can be executed again after a crash: all is saved in one transaction, or nothing is.

        Raises:
            NotFoundError: It is absent or another team's, or its agent was deleted meanwhile.
            UnavailableError: The database cannot be used; it may be executed again.
            asyncio.CancelledError: Whoever runs it lets go; it may be executed again.
        """
        bootstrap = await self._stored(team_id, bootstrap_id)
        if bootstrap.state.ended:
            return bootstrap
        async with self._storage.team(team_id) as unit:
            agent = await unit.agents.get(bootstrap.agent_id)
        bootstrap = await self._change(
            team_id,
            bootstrap_id,
            state=JobState.RUNNING,
            step=BootstrapStep.GENERATING,
            personas_done=0,
            evaluations_done=0,
            model=self._model.name,
        )
        try:
            drafts = await self._drafts_unless_cancelled(bootstrap, agent)
            if drafts is None:
                return await self._end(bootstrap, JobState.CANCELLED)
            await self._change(team_id, bootstrap_id, step=BootstrapStep.SAVING)
            return await uncontended(lambda: self._save(bootstrap, drafts))
        except FaultError as error:
            return await self._end(bootstrap, JobState.FAILED, error.message)
        except (NotFoundError, RetriableError):
            raise
        except Exception as error:
            # Executed again it would fail again: a defect is shown, not repeated for ever.
            log.exception("bootstrap_failed", id=str(bootstrap_id), team=str(team_id))
            reason = (
                error.message if isinstance(error, MimicError) else "Mimic itself failed; its log says why"
            )
            return await self._end(bootstrap, JobState.FAILED, reason)

    async def _drafts_unless_cancelled(self, bootstrap: Bootstrap, agent: Agent) -> _Drafts | None:
        """Drafts all that was asked for. Returns None as soon as someone asks for the bootstrap to end."""
        with self._feed.subscribe(_topic(bootstrap.id)) as news:
            drafting = asyncio.ensure_future(self._drafts(bootstrap, agent))
            cancelled = asyncio.ensure_future(self._cancelled(bootstrap, news))
            try:
                await asyncio.wait({drafting, cancelled}, return_when=asyncio.FIRST_COMPLETED)
                if not drafting.done():
                    await cancelled
                    return None
                return await drafting
            finally:
                drafting.cancel()
                cancelled.cancel()
                await asyncio.gather(drafting, cancelled, return_exceptions=True)

    async def _drafts(self, bootstrap: Bootstrap, agent: Agent) -> _Drafts:
        """Drafts personas and evaluations at once, and tells how far it is. Raises FaultError."""
        async with self._storage.team(bootstrap.team_id) as unit:
            taken_by_personas, taken_by_evaluations = await taken_names(unit, agent.id)
        one_at_a_time = asyncio.Lock()

        async def drafted(usage: Usage, *, personas: int = 0, evaluations: int = 0) -> None:
            async with one_at_a_time:
                await self._update(
                    bootstrap.team_id,
                    bootstrap.id,
                    lambda old: replace(
                        old,
                        personas_done=old.personas_done + personas,
                        evaluations_done=old.evaluations_done + evaluations,
                        usage=old.usage + usage,
                    ),
                )

        try:
            async with asyncio.TaskGroup() as group:
                personas = group.create_task(
                    draft_personas(
                        self._model,
                        agent.spec,
                        bootstrap.options,
                        taken_by_personas,
                        lambda usage, number: drafted(usage, personas=number),
                    )
                )
                evaluations = group.create_task(
                    draft_evaluations(
                        self._model,
                        agent.spec,
                        bootstrap.options,
                        taken_by_evaluations,
                        lambda usage, number: drafted(usage, evaluations=number),
                    )
                )
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
        return _Drafts(personas.result(), evaluations.result())

    async def _cancelled(self, bootstrap: Bootstrap, news: Subscription) -> None:
        """Returns when someone has asked for the bootstrap to end."""
        while not bootstrap.cancel_requested:
            bootstrap = await _next(news) or await self._stored(bootstrap.team_id, bootstrap.id)

    async def _save(self, bootstrap: Bootstrap, drafts: _Drafts) -> Bootstrap:
        """Saves all drafts and the end of the bootstrap, or nothing."""
        now = self._clock()
        owner = (bootstrap.team_id, bootstrap.agent_id)
        personas = [
            Persona(PersonaId(_part_id(bootstrap.id, "persona", i)), *owner, spec, now, now)
            for i, spec in enumerate(drafts.personas)
        ]
        evaluations = [
            Evaluation(EvaluationId(_part_id(bootstrap.id, "evaluation", i)), *owner, spec, now, now)
            for i, spec in enumerate(drafts.evaluations)
        ]
        async with self._storage.team(bootstrap.team_id) as unit:
            old = await unit.bootstraps.get(bootstrap.id)
            if old.state.ended:
                return old
            if old.cancel_requested:
                ended = self._ended(old, JobState.CANCELLED)
            else:
                for persona in personas:
                    await unit.personas.add(persona)
                for evaluation in evaluations:
                    await unit.evaluations.add(evaluation)
                ended = replace(
                    self._ended(old, JobState.COMPLETED),
                    persona_ids=tuple(p.id for p in personas),
                    evaluation_ids=tuple(e.id for e in evaluations),
                )
            await unit.bootstraps.save(ended, if_etag=old.rev)
        self._feed.publish(_topic(ended.id), ended.rev, ended)
        return ended

    async def _end(self, bootstrap: Bootstrap, state: JobState, error: str = "") -> Bootstrap:
        return await self._update(
            bootstrap.team_id, bootstrap.id, lambda old: replace(self._ended(old, state), error=error)
        )

    def _ended(self, bootstrap: Bootstrap, state: JobState) -> Bootstrap:
        now = self._clock()
        return replace(
            bootstrap,
            state=state,
            step=BootstrapStep.DONE,
            rev=bootstrap.rev + 1,
            updated_at=now,
            ended_at=now,
        )

    async def _stored(self, team_id: TeamId, bootstrap_id: BootstrapId) -> Bootstrap:
        async with self._storage.team(team_id) as unit:
            return await unit.bootstraps.get(bootstrap_id)

    async def _change(self, team_id: TeamId, bootstrap_id: BootstrapId, **changes: Any) -> Bootstrap:
        return await self._update(team_id, bootstrap_id, lambda old: replace(old, **changes))

    async def _update(
        self, team_id: TeamId, bootstrap_id: BootstrapId, change: Callable[[Bootstrap], Bootstrap]
    ) -> Bootstrap:
        """Changes a bootstrap that has not ended, and tells its watchers."""

        async def store() -> Bootstrap:
            async with self._storage.team(team_id) as unit:
                old = await unit.bootstraps.get(bootstrap_id)
                if old.state.ended:
                    return old
                new = replace(change(old), rev=old.rev + 1, updated_at=self._clock())
                await unit.bootstraps.save(new, if_etag=old.rev)
            return new

        bootstrap = await uncontended(store)
        self._feed.publish(_topic(bootstrap_id), bootstrap.rev, bootstrap)
        return bootstrap


def _topic(bootstrap_id: BootstrapId) -> Topic:
    return ("bootstrap", bootstrap_id)


async def _next(news: Subscription) -> Bootstrap | None:
    """What was published next. Returns None when it is time to look at the database."""
    try:
        async with asyncio.timeout(_LOOK_SECONDS):
            _, bootstrap = await anext(news)
    except (Lagged, TimeoutError):
        return None
    found: Bootstrap = bootstrap
    return found


def _part_id(bootstrap_id: BootstrapId, kind: str, index: int) -> UUID:
    """The id of a draft once it is saved: the same whoever saves it, so that it cannot be saved twice.

    A UUIDv7 as of the bootstrap's own time.
    """
    time = bootstrap_id.bytes[:6]
    rest = hashlib.sha256(f"{bootstrap_id}:{kind}:{index}".encode()).digest()[:10]
    number = int.from_bytes(time + rest)
    number = number & ~(0xF << 76) | 7 << 76
    number = number & ~(0x3 << 62) | 0x2 << 62
    return UUID(int=number)
