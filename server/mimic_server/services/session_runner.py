"""Does the work of one session: the conversation, then its evaluation."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import structlog

from mimic_server.domain.agents import Agent, Connection
from mimic_server.domain.control import Control
from mimic_server.domain.errors import MimicError, NotFoundError
from mimic_server.domain.evaluations import Evaluation, EvaluationResult
from mimic_server.domain.faults import Fault, FaultSource
from mimic_server.domain.ids import ResultId, RunId, SessionId, TeamId, new_uuid
from mimic_server.domain.messages import Message, Transcript
from mimic_server.domain.ports import Adapters, LanguageModel, Page, Storage, UnitOfWork
from mimic_server.domain.sessions import Session, SessionState, TerminationReason
from mimic_server.evaluation.judge import evaluate_all
from mimic_server.services.clock import Clock
from mimic_server.services.feed import Feed
from mimic_server.simulation.endings import Ending
from mimic_server.simulation.recorder import Recorder
from mimic_server.simulation.turn_loop import TurnLoop

MESSAGES_A_READ = 1000
RUNS_REMEMBERED = 100

log = structlog.get_logger("mimic.sessions")


class SessionRunner:
    """Plays and evaluates sessions. What it needs to go on after a crash is in the database."""

    def __init__(
        self, storage: Storage, adapters: Adapters, model: LanguageModel, feed: Feed, clock: Clock
    ) -> None:
        self._storage = storage
        self._adapters = adapters
        self._model = model
        self._feed = feed
        self._clock = clock
        self._of_run: dict[RunId, Sequence[Evaluation]] = {}

    async def execute(self, team_id: TeamId, session_id: SessionId, control: Control) -> Session:
        """Does what is left to do of a session, and returns it as it ended. An ended one stays as it is.

        Raises:
            NotFoundError: It is absent or another team's.
            asyncio.CancelledError: Whoever runs it lets go; it may be executed again.
            UnavailableError: The database cannot be used.
        """
        async with self._storage.team(team_id) as work:
            session = await work.sessions.get(session_id)
            if session.state.ended:
                return session
            agent = await work.agents.get(session.agent_id)
            stored = await all_messages(work, session_id) if session.attempts else []
            results = await work.results.list([session_id]) if session.attempts else []
            evaluations = await self._evaluations(work, session)
        newest = max((result.rev for result in results), default=0)
        recorder = Recorder(
            session, stored, self._storage.journal, self._publisher(session), self._clock, newest_rev=newest
        )
        control.human = session.human_control
        control.cancelled = control.cancelled or session.cancel_requested
        control.attach(recorder.apply)
        if session.state is not SessionState.EVALUATING:
            ending = await self._converse(recorder, agent, control)
            await self._conclude(recorder, ending, evaluating=bool(evaluations and recorder.messages))
        if recorder.session.state is SessionState.EVALUATING:
            await self._evaluate(recorder, evaluations)
        return recorder.session

    async def evaluate(
        self, session: Session, evaluations: Sequence[Evaluation]
    ) -> Sequence[EvaluationResult]:
        """Evaluates a session that has ended, again; the new results replace the old ones.

        Raises:
            UnavailableError: The database cannot be used.
        """
        async with self._storage.team(session.team_id) as work:
            stored = await all_messages(work, session.id)
            results = await work.results.list([session.id])
        newest = max((result.rev for result in results), default=0)
        recorder = Recorder(
            session, stored, self._storage.journal, self._publisher(session), self._clock, newest_rev=newest
        )
        found = await self._judged(recorder, evaluations)
        await recorder.record(session=recorder.change(), results=found)
        return found

    def _publisher(self, session: Session) -> Any:
        """Tells whoever watches the session, and whoever watches its run when the session itself changes."""
        topic = ("session", session.id)
        run_topic = ("run", session.run_id) if session.run_id is not None else None

        def publish(rev: int, item: Any) -> None:
            self._feed.publish(topic, rev, item)
            if run_topic is not None and isinstance(item, Session):
                self._feed.publish(run_topic, rev, item)

        return publish

    async def _evaluations(self, work: UnitOfWork, session: Session) -> Sequence[Evaluation]:
        """The evaluations that apply: those the run names, else the agent's enabled ones.

        A run's are read once, so that all its sessions are judged by the same.
        """
        run_id = session.run_id
        if run_id is not None and run_id in self._of_run:
            return self._of_run[run_id]
        wanted = set((await work.runs.get(run_id)).evaluation_ids) if run_id is not None else set()
        listing = await work.evaluations.list(Page(1000), agent_id=session.agent_id)
        chosen = [e for e in listing.items if (e.id in wanted if wanted else e.enabled)]
        if run_id is not None:
            self._of_run[run_id] = chosen
            if len(self._of_run) > RUNS_REMEMBERED:
                del self._of_run[next(iter(self._of_run))]
        return chosen

    async def _converse(self, recorder: Recorder, agent: Agent, control: Control) -> Ending:
        connection = agent.connection(recorder.session.connection_id)
        if connection is None:
            message = "the agent's connection was removed before the session could begin"
            return _broken(Fault(FaultSource.MIMIC, "CONNECTION_REMOVED", message))
        if control.cancelled and not recorder.session.attempts:
            return Ending(TerminationReason.CANCELLED)
        control.task = asyncio.current_task()
        try:
            return await self._loop(recorder, agent, connection, control).play()
        except NotFoundError as error:
            remedy = "install it, or correct the connection's channel"
            return _broken(Fault(FaultSource.ADAPTER, error.reason, error.message, remedy))
        except MimicError:
            raise
        except Exception:
            # A defect of ours must not be played again and again.
            log.exception("session_failed", session_id=str(recorder.session.id))
            return _broken(
                Fault(
                    FaultSource.MIMIC,
                    "INTERNAL",
                    "Mimic itself failed",
                    f"the server's log tells more of session {recorder.session.id}",
                )
            )
        finally:
            control.task = None

    def _loop(self, recorder: Recorder, agent: Agent, connection: Connection, control: Control) -> TurnLoop:
        topic = ("session", recorder.session.id)
        return TurnLoop(
            recorder,
            agent,
            connection,
            adapters=self._adapters,
            model=self._model,
            control=control,
            now=self._clock,
            on_typing=lambda: self._feed.publish(topic, 0, None),
        )

    async def _conclude(self, recorder: Recorder, ending: Ending, *, evaluating: bool) -> None:
        """Records why the conversation ended."""
        now = self._clock()
        session = recorder.session
        attempts = session.attempts
        if attempts and attempts[-1].ended_at is None:
            attempts = (*attempts[:-1], replace(attempts[-1], ended_at=now))
        recorder.change(
            attempts=attempts,
            message_count=len(recorder.messages),
            termination=ending.reason,
            termination_detail=ending.detail,
            fault=ending.fault,
            state=SessionState.EVALUATING if evaluating else _final(ending),
            ended_at=None if evaluating else now,
        )
        await recorder.record(session=recorder.session)

    async def _evaluate(self, recorder: Recorder, evaluations: Sequence[Evaluation]) -> None:
        results = await self._judged(recorder, evaluations)
        session = recorder.session
        ending = Ending(session.termination or TerminationReason.FAULT, "", session.fault)
        ended = recorder.change(state=_final(ending), ended_at=self._clock())
        await recorder.record(session=ended, results=results)

    async def _judged(self, recorder: Recorder, evaluations: Sequence[Evaluation]) -> list[EvaluationResult]:
        session = recorder.session
        transcript = Transcript(tuple(recorder.messages))
        judgements = await evaluate_all([e.spec for e in evaluations], transcript, self._model)
        return [
            recorder.number(
                EvaluationResult(
                    id=ResultId(new_uuid()),
                    team_id=session.team_id,
                    session_id=session.id,
                    evaluation_id=evaluation.id,
                    name=evaluation.spec.name,
                    metric=evaluation.spec.metric,
                    method=evaluation.spec.method,
                    severity=evaluation.spec.severity,
                    judgement=judgement,
                    rev=0,
                    created_at=self._clock(),
                )
            )
            for evaluation, judgement in zip(evaluations, judgements, strict=True)
        ]


def _broken(fault: Fault) -> Ending:
    return Ending(TerminationReason.FAULT, fault.message, fault)


def _final(ending: Ending) -> SessionState:
    match ending.reason:
        case TerminationReason.CANCELLED:
            return SessionState.CANCELLED
        case TerminationReason.FAULT:
            return SessionState.FAILED
        case _:
            return SessionState.COMPLETED


async def all_messages(work: UnitOfWork, session_id: SessionId) -> list[Message]:
    """All messages of a session, however many."""
    messages: list[Message] = []
    while True:
        more = await work.messages.list(
            session_id, after_seq=messages[-1].seq if messages else 0, limit=MESSAGES_A_READ
        )
        messages.extend(more)
        if len(more) < MESSAGES_A_READ:
            return messages
