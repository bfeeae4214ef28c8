"""Sessions: creating, watching, steering them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from mimic_server.domain.agents import Agent
from mimic_server.domain.control import SpokenByPerson
from mimic_server.domain.errors import InvalidInputError, NotFoundError, PreconditionError
from mimic_server.domain.evaluations import EvaluationResult
from mimic_server.domain.ids import AgentId, ConnectionId, MessageId, PersonaId, SessionId, new_uuid
from mimic_server.domain.messages import Message, Part, RawPayload
from mimic_server.domain.personas import Persona
from mimic_server.domain.ports import LanguageModel, Listing, Orchestrator, Page, Storage, UnitOfWork, Work
from mimic_server.domain.runs import Run
from mimic_server.domain.sessions import Session, SessionOptions, SessionState
from mimic_server.domain.teams import Principal
from mimic_server.services.clock import Clock
from mimic_server.services.feed import Feed, Lagged
from mimic_server.services.repeats import once, uncontended
from mimic_server.services.session_runner import SessionRunner

SessionEvent = tuple[int, Session | Message | EvaluationResult | None]
"""Its rev, and what happened. None: the agent is typing."""

# `SessionService.list` hides the built-in inside the class.
SessionEvents = list[SessionEvent]
Messages = list[Message]

CHANGED_A_READ = 1000


def new_session(
    agent: Agent,
    connection_id: ConnectionId,
    persona: Persona,
    options: SessionOptions,
    *,
    model: str,
    now: Any,
    run: Run | None = None,
    repeat: int = 0,
    human_control: bool = False,
    request_id: str = "",
) -> Session:
    """A session that is not yet stored."""
    connection = agent.connection(connection_id)
    return Session(
        id=SessionId(new_uuid()),
        team_id=agent.team_id,
        agent_id=agent.id,
        connection_id=connection_id,
        persona_id=persona.id,
        persona=persona.spec,
        options=options,
        state=SessionState.CREATED,
        created_at=now,
        updated_at=now,
        run_id=run.id if run else None,
        repeat=repeat,
        channel=connection.spec.channel if connection else "",
        model=model,
        human_control=human_control,
        request_id=request_id,
    )


def chosen_connection(agent: Agent, connection_id: ConnectionId | None) -> ConnectionId:
    """The connection that was named, or the agent's first.

    Raises:
        NotFoundError: The agent has no such connection.
        PreconditionError: The agent has no connection at all.
    """
    if connection_id is not None:
        if agent.connection(connection_id) is None:
            raise NotFoundError("connection", connection_id)
        return connection_id
    if not agent.connections:
        raise PreconditionError(
            "AGENT_HAS_NO_CONNECTION",
            f"agent {agent.spec.name!r} cannot be reached yet: add a connection to it first",
        )
    return agent.connections[0].id


class SessionService:
    """One persona's conversations with one agent on one channel."""

    def __init__(
        self,
        storage: Storage,
        orchestrator: Orchestrator,
        runner: SessionRunner,
        *,
        model: LanguageModel,
        feed: Feed,
        clock: Clock,
    ) -> None:
        self._storage = storage
        self._orchestrator = orchestrator
        self._runner = runner
        self._model = model
        self._feed = feed
        self._clock = clock

    async def create(
        self,
        principal: Principal,
        *,
        agent_id: AgentId,
        persona_id: PersonaId,
        connection_id: ConnectionId | None = None,
        options: SessionOptions | None = None,
        human_control: bool = False,
        request_id: str = "",
    ) -> Session:
        """Stores a session and queues it. A repeated request id returns the first answer.

        Raises:
            NotFoundError: The agent, persona or connection.
            PreconditionError: The agent has no connection.
        """

        async def stored() -> Session:
            async with self._storage.team(principal.team_id) as work:
                if (earlier := await work.sessions.by_request_id(request_id)) is not None:
                    return earlier
                agent = await work.agents.get(agent_id)
                persona = await work.personas.get(persona_id)
                if persona.agent_id != agent_id:
                    raise NotFoundError("persona", persona_id)
                session = new_session(
                    agent,
                    chosen_connection(agent, connection_id),
                    persona,
                    options or SessionOptions(),
                    model=self._model.name,
                    now=self._clock(),
                    human_control=human_control,
                    request_id=request_id,
                )
                await work.sessions.add(session)
                return session

        session = await once(stored)
        await self._orchestrator.start_session(session.team_id, session.id)
        return session

    async def get(self, principal: Principal, session_id: SessionId) -> Session:
        """Raises NotFoundError."""
        async with self._storage.team(principal.team_id) as work:
            return await work.sessions.get(session_id)

    async def list(self, principal: Principal, page: Page, **equals: Any) -> Listing[Session]:
        """Sessions, newest first, by agent_id, run_id, persona_id and state."""
        async with self._storage.team(principal.team_id) as work:
            return await work.sessions.list(page, **equals)

    async def cancel(self, principal: Principal, session_id: SessionId) -> Session:
        """Asks for a session to end. One that has ended stays as it is. Raises NotFoundError."""
        session = await self._request(principal, session_id, cancel_requested=True)
        if not session.state.ended:
            await self._orchestrator.cancel(Work("session", session.team_id, session.id))
        return session

    async def watch(
        self, principal: Principal, session_id: SessionId, after_rev: int = 0
    ) -> AsyncIterator[SessionEvent]:
        """All that changed after an event, then each event as it happens; ends with the session.

        Raises:
            NotFoundError: The session.
            InvalidInputError: `after_rev` is above the newest event.
        """
        topic = ("session", session_id)
        with self._feed.subscribe(topic) as subscription:
            seen = after_rev
            first = True
            while True:
                stored, session = await self._changed(principal, session_id, seen)
                newest = max([session.rev, *(rev for rev, _ in stored)])
                if first and after_rev > newest:
                    raise InvalidInputError.of(
                        "after_seq", f"{after_rev} is above the session's newest event, {newest}"
                    )
                first = False
                for event in stored:
                    yield event
                seen = max(seen, newest)
                if session.state.ended:
                    return
                try:
                    async for rev, item in subscription:
                        if rev == 0:
                            yield rev, item
                        elif rev > seen:
                            seen = rev
                            yield rev, item
                            if isinstance(item, Session) and item.state.ended:
                                return
                except Lagged:
                    continue

    async def messages(
        self, principal: Principal, session_id: SessionId, *, after_seq: int = 0, limit: int = 200
    ) -> Sequence[Message]:
        """Messages of all attempts, in order. Raises NotFoundError."""
        async with self._storage.team(principal.team_id) as work:
            await work.sessions.get(session_id)
            return await work.messages.list(session_id, after_seq=after_seq, limit=limit)

    async def raw(
        self, principal: Principal, session_id: SessionId, *, after: int = 0, limit: int = 200
    ) -> Sequence[RawPayload]:
        """Raw payloads in order, from an offset on. Raises NotFoundError."""
        async with self._storage.team(principal.team_id) as work:
            await work.sessions.get(session_id)
            return await work.messages.raw(session_id, after=after, limit=limit)

    async def results(self, principal: Principal, session_id: SessionId) -> Sequence[EvaluationResult]:
        """Raises NotFoundError."""
        async with self._storage.team(principal.team_id) as work:
            await work.sessions.get(session_id)
            return await work.results.list([session_id])

    async def evaluate(
        self, principal: Principal, session_id: SessionId, evaluation_ids: Sequence[UUID] = ()
    ) -> Sequence[EvaluationResult]:
        """Evaluates a session again.

        Raises:
            NotFoundError: The session or an evaluation.
            PreconditionError: The session has not ended.
        """
        async with self._storage.team(principal.team_id) as work:
            session = await work.sessions.get(session_id)
            if not session.state.ended:
                raise PreconditionError(
                    "SESSION_NOT_ENDED",
                    f"session {session_id} is under way: wait for its end, or cancel it first",
                )
            if evaluation_ids:
                evaluations = [await work.evaluations.get(key) for key in evaluation_ids]
                for evaluation in evaluations:
                    if evaluation.agent_id != session.agent_id:
                        raise NotFoundError("evaluation", evaluation.id)
            else:
                listing = await work.evaluations.list(Page(1000), agent_id=session.agent_id)
                evaluations = [e for e in listing.items if e.enabled]
        return await self._runner.evaluate(session, evaluations)

    async def take_over(self, principal: Principal, session_id: SessionId) -> Session:
        """A person begins to play the persona. Raises NotFoundError, PreconditionError."""
        return await self._give(principal, session_id, human=True)

    async def hand_back(self, principal: Principal, session_id: SessionId) -> Session:
        """The simulator plays the persona again. Raises NotFoundError, PreconditionError."""
        return await self._give(principal, session_id, human=False)

    async def send_message(
        self, principal: Principal, session_id: SessionId, parts: tuple[Part, ...], request_id: str = ""
    ) -> Message:
        """Says something as the persona; returns once it is stored.

        Raises:
            NotFoundError: The session.
            PreconditionError: It is not under way, or no person plays it.
        """
        session = await self.get(principal, session_id)
        control = self._orchestrator.control(session_id)
        # What was asked for at its creation is not yet in the control of a session that has not begun.
        human = control is not None and (control.human or (session.human_control and not session.attempts))
        if session.state.ended or control is None or not human:
            raise PreconditionError(
                "SESSION_NOT_TAKEN_OVER",
                f"session {session_id} is not played by a person: take it over while it is under way",
            )
        message_id = MessageId(f"person:{request_id or new_uuid().hex}")
        if request_id and (earlier := await self._said(principal, session_id, message_id)) is not None:
            return earlier
        stored: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        control.say(SpokenByPerson(message_id, parts, stored))
        ended: asyncio.Future[Any] = asyncio.ensure_future(control.ended.wait())
        futures: set[asyncio.Future[Any]] = {stored, ended}
        try:
            await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ended.cancel()
        if not stored.done():
            stored.cancel()
            raise PreconditionError(
                "SESSION_ENDED", f"session {session_id} ended before the message was sent"
            )
        return stored.result()

    async def _said(
        self, principal: Principal, session_id: SessionId, message_id: MessageId
    ) -> Message | None:
        async with self._storage.team(principal.team_id) as work:
            after = 0
            while messages := await work.messages.list(session_id, after_seq=after):
                found = next((m for m in messages if m.id == message_id), None)
                if found is not None:
                    return found
                after = messages[-1].seq
        return None

    async def _give(self, principal: Principal, session_id: SessionId, *, human: bool) -> Session:
        session = await self.get(principal, session_id)
        if session.state.ended or (not human and not session.human_control):
            what = "has ended" if session.state.ended else "is not played by a person"
            raise PreconditionError("SESSION_NOT_UNDER_WAY", f"session {session_id} {what}")
        return await self._request(principal, session_id, human_control=human)

    async def _request(self, principal: Principal, session_id: SessionId, **changes: Any) -> Session:
        """Stores what someone asks of a session, and tells whoever plays it."""

        async def stored() -> Session:
            async with self._storage.team(principal.team_id) as work:
                session = await work.sessions.get(session_id)
                control = self._orchestrator.control(session_id)
                if control is None and not session.state.ended:
                    changed = replace(session, rev=session.rev + 1, updated_at=self._clock(), **changes)
                    await work.sessions.save(changed, if_etag=session.rev)
                    session = changed
            # While it is played its row has a single writer, which is asked outside of our transaction.
            if control is not None:
                session = await control.request(changes) or session
            return session

        session = await uncontended(stored)
        control = self._orchestrator.control(session_id)
        if control is not None and "human_control" in changes:
            control.set_human(human=changes["human_control"])
        return session

    async def _changed(
        self, principal: Principal, session_id: SessionId, after_rev: int
    ) -> tuple[Sequence[SessionEvent], Session]:
        """What is stored of a session and changed after an event, in order of rev."""
        async with self._storage.team(principal.team_id) as work:
            messages = await self._changed_messages(work, session_id, after_rev)
            results = [r for r in await work.results.list([session_id]) if r.rev > after_rev]
            # Last: what is read before it is at least as old, so no event of a newer rev is skipped.
            session = await work.sessions.get(session_id)
        events: SessionEvents = [(m.rev, m) for m in messages]
        events += [(r.rev, r) for r in results]
        if session.rev > after_rev:
            events.append((session.rev, session))
        return sorted(events, key=lambda event: event[0]), session

    async def _changed_messages(
        self, work: UnitOfWork, session_id: SessionId, after_rev: int
    ) -> Sequence[Message]:
        messages: Messages = []
        while True:
            after = messages[-1].rev if messages else after_rev
            more = await work.messages.changed(session_id, after_rev=after, limit=CHANGED_A_READ)
            messages.extend(more)
            if len(more) < CHANGED_A_READ:
                return messages
