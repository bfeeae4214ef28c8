"""Runs: personas by repeats of sessions against one agent."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

from mimic_server.domain.agents import Agent
from mimic_server.domain.errors import InvalidInputError, NotFoundError, PreconditionError
from mimic_server.domain.evaluations import EvaluationResult, ResultStatus, Verdict
from mimic_server.domain.faults import FaultSource
from mimic_server.domain.ids import (
    AgentId,
    ConnectionId,
    EvaluationId,
    PersonaId,
    RunId,
    SessionId,
    TeamId,
    new_uuid,
)
from mimic_server.domain.messages import Message
from mimic_server.domain.personas import Persona
from mimic_server.domain.ports import LanguageModel, Listing, Orchestrator, Page, Storage, UnitOfWork, Work
from mimic_server.domain.runs import JobState, Run, RunOptions, RunOutcome, RunReport
from mimic_server.domain.sessions import Session, SessionState, TerminationReason
from mimic_server.domain.teams import Principal
from mimic_server.services.clock import Clock
from mimic_server.services.feed import Feed, Lagged
from mimic_server.services.repeats import once, uncontended
from mimic_server.services.reports import build_report, quoted
from mimic_server.services.sessions import chosen_connection, new_session

# `RunService.list` hides the built-in inside the class.
Sessions = list[Session]
Results = list[EvaluationResult]

MAX_SESSIONS = 100_000
PAGE = 1000

PlaySession = Callable[[TeamId, SessionId, bool], Awaitable[None]]
"""Does all the work of a session, whoever does it, and returns when it has ended. True: only to cancel it."""


class RunService:
    """Runs, from their creation to their report."""

    def __init__(
        self, storage: Storage, orchestrator: Orchestrator, model: LanguageModel, feed: Feed, clock: Clock
    ) -> None:
        self._storage = storage
        self._orchestrator = orchestrator
        self._model = model
        self._feed = feed
        self._clock = clock

    async def create(
        self,
        principal: Principal,
        *,
        agent_id: AgentId,
        name: str = "",
        connection_id: ConnectionId | None = None,
        persona_ids: Sequence[PersonaId] = (),
        evaluation_ids: Sequence[EvaluationId] = (),
        options: RunOptions | None = None,
        request_id: str = "",
    ) -> Run:
        """Stores a run with all its sessions and begins it. A repeated request id returns the first answer.

        Raises:
            NotFoundError: The agent, a persona, an evaluation or the connection.
            PreconditionError: The agent has no connection or no persona.
            InvalidInputError: Too many sessions.
        """
        chosen = options or RunOptions()

        async def stored() -> Run:
            async with self._storage.team(principal.team_id) as work:
                if (earlier := await work.runs.by_request_id(request_id)) is not None:
                    return earlier
                agent = await work.agents.get(agent_id)
                personas = await self._personas(work, agent, persona_ids)
                await self._check_evaluations(work, agent, evaluation_ids)
                now = self._clock()
                run = Run(
                    id=RunId(new_uuid()),
                    team_id=principal.team_id,
                    agent_id=agent.id,
                    connection_id=chosen_connection(agent, connection_id),
                    persona_ids=tuple(p.id for p in personas),
                    evaluation_ids=tuple(evaluation_ids),
                    options=chosen,
                    state=JobState.PENDING,
                    created_at=now,
                    updated_at=now,
                    name=name,
                    sessions_total=len(personas) * chosen.repeats,
                    request_id=request_id,
                )
                if run.sessions_total > MAX_SESSIONS:
                    raise InvalidInputError.of(
                        "options.repeats", f"{run.sessions_total} sessions are more than {MAX_SESSIONS}"
                    )
                await work.runs.add(run)
                for session in self._sessions(run, agent, personas):
                    await work.sessions.add(session)
                return run

        run = await once(stored)
        await self._orchestrator.start_run(run.team_id, run.id)
        return run

    async def get(self, principal: Principal, run_id: RunId) -> Run:
        """Raises NotFoundError."""
        async with self._storage.team(principal.team_id) as work:
            return await work.runs.get(run_id)

    async def list(self, principal: Principal, page: Page, **equals: Any) -> Listing[Run]:
        """Runs, newest first, by agent_id and state."""
        async with self._storage.team(principal.team_id) as work:
            return await work.runs.list(page, **equals)

    async def cancel(self, principal: Principal, run_id: RunId) -> Run:
        """Asks for a run to end. One that has ended stays as it is. Raises NotFoundError."""
        run = await self._change(principal.team_id, run_id, cancel_requested=True)
        if not run.state.ended:
            await self._orchestrator.cancel(Work("run", run.team_id, run.id))
        return run

    async def watch(self, principal: Principal, run_id: RunId) -> AsyncIterator[Run | Session]:
        """The run and its sessions as they are, then each change; ends with the run. Raises NotFoundError."""
        with self._feed.subscribe(("run", run_id)) as subscription:
            while True:
                run = await self.get(principal, run_id)
                yield run
                for session in await self.sessions(principal.team_id, run_id):
                    if session.state is not SessionState.CREATED:
                        yield session
                if run.state.ended:
                    return
                try:
                    async for _, item in subscription:
                        yield item
                        if isinstance(item, Run) and item.state.ended:
                            return
                except Lagged:
                    continue

    async def report(self, principal: Principal, run_id: RunId) -> RunReport:
        """What the run has found so far. Raises NotFoundError."""
        run = await self.get(principal, run_id)
        sessions = await self.sessions(principal.team_id, run_id)
        ids = [s.id for s in sessions]
        async with self._storage.team(principal.team_id) as work:
            results: Results = []
            for at in range(0, len(ids), PAGE):
                results.extend(await work.results.list(ids[at : at + PAGE]))
            latencies = await work.first_answer_latencies(run_id)
            quotes: dict[tuple[SessionId, int], Message] = {}
            for session_id, seq in quoted(results):
                found = await work.messages.list(session_id, after_seq=seq - 1, limit=1)
                if found and found[0].seq == seq:
                    quotes[session_id, seq] = found[0]
        return build_report(run, sessions, results, quotes, latencies)

    async def sessions(self, team_id: TeamId, run_id: RunId) -> Sequence[Session]:
        """All sessions of a run, oldest first."""
        sessions: Sessions = []
        token = ""
        while True:
            async with self._storage.team(team_id) as work:
                listing = await work.sessions.list(Page(PAGE, token), run_id=run_id)
            sessions.extend(listing.items)
            token = listing.next_token
            if not token:
                return sessions[::-1]

    async def execute(self, team_id: TeamId, run_id: RunId, play: PlaySession) -> None:
        """Plays the sessions of a run that have not ended, as many at once as it allows, then sums up.

        Args:
            team_id: Whose.
            run_id: Which. One that has ended stays as it is.
            play: Plays one session.

        Raises:
            NotFoundError: It is absent or another team's.
            asyncio.CancelledError: Whoever runs it lets go; it may be executed again.
        """
        run = await self._change(team_id, run_id, state=JobState.RUNNING, started_at=self._clock())
        if run.state.ended:
            return
        sessions = await self.sessions(team_id, run_id)
        waiting = deque(s.id for s in sessions if not s.state.ended)
        ended = told = len(sessions) - len(waiting)
        cancelled = run.cancel_requested
        telling = asyncio.Lock()

        async def play_some() -> None:
            nonlocal ended, told, cancelled
            while waiting:
                await play(team_id, waiting.popleft(), cancelled)
                ended += 1
                # Of the sessions that end together, one tells of all.
                async with telling:
                    if told < ended:
                        told = ended
                        run = await self._change(team_id, run_id, sessions_ended=ended)
                        cancelled = run.cancel_requested

        async with asyncio.TaskGroup() as group:
            for _ in range(min(run.options.concurrency, len(waiting))):
                group.create_task(play_some())
        await self._sum_up(team_id, run_id)

    async def _sum_up(self, team_id: TeamId, run_id: RunId) -> None:
        sessions = await self.sessions(team_id, run_id)
        ids = [s.id for s in sessions]
        results: Results = []
        async with self._storage.team(team_id) as work:
            for at in range(0, len(ids), PAGE):
                results.extend(await work.results.list(ids[at : at + PAGE]))
            run = await work.runs.get(run_id)
        await self._change(
            team_id,
            run_id,
            state=JobState.CANCELLED if run.cancel_requested else JobState.COMPLETED,
            outcome=outcome_of(sessions, results),
            sessions_ended=sum(s.state.ended for s in sessions),
            ended_at=self._clock(),
        )

    async def _change(self, team_id: TeamId, run_id: RunId, **changes: Any) -> Run:
        """Changes a run that has not ended, and tells its watchers."""

        async def stored() -> Run:
            async with self._storage.team(team_id) as work:
                run = await work.runs.get(run_id)
                if run.state.ended:
                    return run
                if run.started_at is not None:
                    changes.pop("started_at", None)
                changed = replace(run, rev=run.rev + 1, updated_at=self._clock(), **changes)
                await work.runs.save(changed, if_etag=run.rev)
                return changed

        run = await uncontended(stored)
        self._feed.publish(("run", run_id), run.rev, run)
        return run

    async def _personas(
        self, work: UnitOfWork, agent: Agent, persona_ids: Sequence[PersonaId]
    ) -> Sequence[Persona]:
        if not persona_ids:
            listing = await work.personas.list(Page(PAGE), agent_id=agent.id)
            if not listing.items:
                raise PreconditionError(
                    "AGENT_HAS_NO_PERSONA",
                    f"agent {agent.spec.name!r} has no personas: create some, or bootstrap it, first",
                )
            return listing.items[::-1]
        personas = [await work.personas.get(key) for key in persona_ids]
        for persona in personas:
            if persona.agent_id != agent.id:
                raise NotFoundError("persona", persona.id)
        return personas

    async def _check_evaluations(
        self, work: UnitOfWork, agent: Agent, evaluation_ids: Sequence[EvaluationId]
    ) -> None:
        for key in evaluation_ids:
            evaluation = await work.evaluations.get(key)
            if evaluation.agent_id != agent.id:
                raise NotFoundError("evaluation", key)

    def _sessions(self, run: Run, agent: Agent, personas: Sequence[Persona]) -> Sequence[Session]:
        options = run.options.session
        sessions: Sessions = []
        for repeat in range(run.options.repeats):
            for persona in personas:
                number = len(sessions)
                seed = None if options.seed is None else (options.seed + number) % 2**63
                sessions.append(
                    new_session(
                        agent,
                        run.connection_id,
                        persona,
                        options.model_copy(update={"seed": seed}),
                        model=self._model.name,
                        now=run.created_at,
                        run=run,
                        repeat=repeat,
                    )
                )
        return sessions


def outcome_of(sessions: Sequence[Session], results: Sequence[EvaluationResult]) -> RunOutcome:
    """What a run says of the agent."""
    if any(r.judgement.verdict is Verdict.FAIL for r in results):
        return RunOutcome.FAILED
    if any(s.fault is not None and s.fault.source is FaultSource.AGENT for s in sessions):
        return RunOutcome.FAILED
    if any(s.termination is TerminationReason.AGENT_SILENT for s in sessions):
        return RunOutcome.FAILED
    judged = all(s.state is SessionState.COMPLETED for s in sessions) and bool(sessions)
    errors = any(r.judgement.status is ResultStatus.ERROR for r in results)
    return RunOutcome.PASSED if judged and not errors else RunOutcome.INCONCLUSIVE
