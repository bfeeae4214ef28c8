"""What services stand on in these tests: a real database, and a team in it."""

from __future__ import annotations

from uuid import UUID

from mimic_server.domain.agents import Agent, AgentSpec
from mimic_server.domain.control import Control
from mimic_server.domain.ids import AgentId, BootstrapId, RunId, SessionId, TeamId, new_uuid
from mimic_server.domain.ports import Storage, Work
from mimic_server.domain.teams import Principal, Role
from mimic_server.services.clock import utc_now
from mimic_server.services.teams import FIRST_TEAM_ID

ADMIN = Principal(FIRST_TEAM_ID, Role.ADMIN, "test")


class NullOrchestrator:
    """Implements `Orchestrator`: does nothing, and remembers what it should have done."""

    def __init__(self) -> None:
        self.started: list[UUID] = []
        self.cancelled: list[Work] = []

    async def start_bootstrap(self, team_id: TeamId, bootstrap_id: BootstrapId) -> None:
        self.started.append(bootstrap_id)

    async def start_session(self, team_id: TeamId, session_id: SessionId) -> None:
        self.started.append(session_id)

    async def start_run(self, team_id: TeamId, run_id: RunId) -> None:
        self.started.append(run_id)

    async def cancel(self, work: Work) -> None:
        self.cancelled.append(work)

    def control(self, session_id: SessionId) -> Control | None:
        return None


async def stored_agent(storage: Storage) -> Agent:
    """A new agent of the first team."""
    now = utc_now()
    agent = Agent(AgentId(new_uuid()), ADMIN.team_id, AgentSpec(name="Shop"), now, now)
    async with storage.team(ADMIN.team_id) as unit:
        await unit.agents.add(agent)
    return agent
