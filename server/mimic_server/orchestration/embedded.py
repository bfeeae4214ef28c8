"""The embedded orchestrator: tasks of this process, leases in the database.

What this process begins it also sees through; what another left behind when it died is taken up once its
lease has run out. On start everything unfinished that nobody holds is taken up at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import structlog

from mimic_server.domain.control import Control
from mimic_server.domain.errors import MimicError
from mimic_server.domain.ids import BootstrapId, RunId, SessionId, TeamId
from mimic_server.domain.ports import Leases, Work

LEASE = timedelta(seconds=30)
RENEW_SECONDS = 10.0

log = structlog.get_logger("mimic.orchestrator")

PlaySession = Callable[[TeamId, SessionId, Control], Awaitable[Any]]
RunBootstrap = Callable[[TeamId, BootstrapId], Awaitable[Any]]
PlayOfRun = Callable[[TeamId, SessionId, bool], Awaitable[None]]
ExecuteRun = Callable[[TeamId, RunId, PlayOfRun], Awaitable[Any]]


class EmbeddedOrchestrator:
    """Does bootstraps, sessions and runs as tasks of this process. Implements `Orchestrator`."""

    def __init__(self, leases: Leases, owner: str) -> None:
        """Makes one.

        Args:
            leases: Who works on what.
            owner: Names this process, and the one that takes its place after it: no two live at once.
        """
        self._leases = leases
        self._owner = owner
        self._tasks: dict[UUID, asyncio.Task[None]] = {}
        self._controls: dict[SessionId, Control] = {}
        self._runs: dict[RunId, set[Control]] = {}
        self._stopping = False
        self._keeper: asyncio.Task[None] | None = None
        self._play: PlaySession
        self._bootstrap: RunBootstrap
        self._run: ExecuteRun

    def use(self, *, play: PlaySession, bootstrap: RunBootstrap, run: ExecuteRun) -> None:
        """Says who does the work. The services need the orchestrator, so they come after it."""
        self._play, self._bootstrap, self._run = play, bootstrap, run

    async def start(self) -> None:
        """Takes up what was left, here or elsewhere, and keeps looking for what others leave."""
        for work in await self._leases.renew(self._owner, LEASE):
            await self._begin(work)
        await self._take_up()
        self._keeper = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        """Lets go of everything, so that the next start, here or elsewhere, takes it up."""
        self._stopping = True
        if self._keeper is not None:
            self._keeper.cancel()
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, *([self._keeper] if self._keeper else []), return_exceptions=True)

    async def start_bootstrap(self, team_id: TeamId, bootstrap_id: BootstrapId) -> None:
        await self._begin(Work("bootstrap", team_id, bootstrap_id))

    async def start_session(self, team_id: TeamId, session_id: SessionId) -> None:
        await self._begin(Work("session", team_id, session_id))

    async def start_run(self, team_id: TeamId, run_id: RunId) -> None:
        await self._begin(Work("run", team_id, run_id))

    async def cancel(self, work: Work) -> None:
        if work.kind == "session":
            if (control := self._controls.get(SessionId(work.id))) is not None:
                control.cancel()
        elif work.kind == "run":
            for control in tuple(self._runs.get(RunId(work.id), ())):
                control.cancel()

    def control(self, session_id: SessionId) -> Control | None:
        return self._controls.get(session_id)

    async def _begin(self, work: Work) -> None:
        """Starts a task for some work, unless it is under way here or elsewhere, or has ended."""
        if self._stopping or work.id in self._tasks:
            return
        # The place is taken before the lease is waited for: starting twice starts once.
        if work.kind == "session":
            self._controls[SessionId(work.id)] = Control()
        task = asyncio.create_task(self._do(work), name=f"{work.kind} {work.id}")
        self._tasks[work.id] = task
        task.add_done_callback(lambda _: self._done(work))

    def _done(self, work: Work) -> None:
        self._tasks.pop(work.id, None)
        if work.kind == "session" and (control := self._controls.pop(SessionId(work.id), None)) is not None:
            control.end()

    async def _do(self, work: Work) -> None:
        try:
            if not await self._leases.acquire(work, self._owner, LEASE):
                return
            try:
                match work.kind:
                    case "session":
                        session_id = SessionId(work.id)
                        await self._play(work.team_id, session_id, self._controls[session_id])
                    case "run":
                        await self._execute_run(work.team_id, RunId(work.id))
                    case "bootstrap":
                        await self._bootstrap(work.team_id, BootstrapId(work.id))
            finally:
                await asyncio.shield(self._leases.release(work, self._owner))
        except MimicError as error:
            log.warning("work_put_off", kind=work.kind, id=str(work.id), error=error.message)
        except Exception:
            log.exception("work_failed", kind=work.kind, id=str(work.id))

    async def _execute_run(self, team_id: TeamId, run_id: RunId) -> None:
        controls = self._runs[run_id] = set()

        async def play(team_id: TeamId, session_id: SessionId, cancelled: bool) -> None:  # noqa: FBT001 - a callback
            control = self._controls[session_id] = Control()
            control.cancelled = cancelled
            controls.add(control)
            try:
                await self._play(team_id, session_id, control)
            finally:
                controls.discard(control)
                del self._controls[session_id]
                control.end()

        try:
            await self._run(team_id, run_id, play)
        finally:
            del self._runs[run_id]

    async def _keep(self) -> None:
        """Renews our leases, and takes up what others left."""
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            try:
                await self._leases.renew(self._owner, LEASE)
                await self._take_up()
            except MimicError as error:
                log.warning("leases_not_renewed", reason=error.reason, error=error.message)

    async def _take_up(self) -> None:
        for work in await self._leases.abandoned():
            await self._begin(work)
