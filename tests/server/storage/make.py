"""Makes teams and what belongs to them."""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from mimic_server.domain.agents import Agent, AgentSpec, Connection, ConnectionSpec, Mode
from mimic_server.domain.bootstraps import Bootstrap, BootstrapOptions
from mimic_server.domain.evaluations import (
    Evaluation,
    EvaluationResult,
    EvaluationSpec,
    Judgement,
    Method,
    Metric,
    PassCriteria,
    ResultStatus,
    Severity,
    Verdict,
)
from mimic_server.domain.ids import (
    AgentId,
    ApiKeyId,
    BootstrapId,
    ConnectionId,
    EvaluationId,
    MessageId,
    PersonaId,
    ResultId,
    RunId,
    SessionId,
    TeamId,
    new_uuid,
)
from mimic_server.domain.messages import Message, Sender, Text, WireTime
from mimic_server.domain.personas import Persona, PersonaSpec
from mimic_server.domain.ports import Storage
from mimic_server.domain.runs import JobState, Run, RunOptions
from mimic_server.domain.sessions import Session, SessionOptions, SessionState
from mimic_server.domain.teams import ApiKey, Role, Team

_MOMENTS = (datetime(2026, 1, 1, tzinfo=UTC) + timedelta(milliseconds=n) for n in itertools.count())

PERSONA = PersonaSpec(name="María", goals=("get order 1234 refunded",), stop_conditions=("is insulted",))


def moment() -> datetime:
    """A moment after all earlier ones."""
    return next(_MOMENTS)


def team(**fields: Any) -> Team:
    at = moment()
    return replace(Team(TeamId(new_uuid()), "Team", at, at), **fields)


def api_key(team_id: TeamId, **fields: Any) -> ApiKey:
    key = ApiKeyId(new_uuid())
    sha256 = hashlib.sha256(key.bytes).digest()
    return replace(ApiKey(key, team_id, "Key", Role.MEMBER, "mk_abc", sha256, moment()), **fields)


def agent(team_id: TeamId, **fields: Any) -> Agent:
    at = moment()
    settings = {"url": "http://127.0.0.1:8000", "token": "s3cret", "headers": {"x": [1, None]}}
    spec = ConnectionSpec(channel="rest", mode=Mode.LIVE, settings=settings)
    connections = (Connection(ConnectionId(new_uuid()), spec),)
    spec_ = AgentSpec(name="Shop bot", description="Answers\ncustomers ☎")
    return replace(Agent(AgentId(new_uuid()), team_id, spec_, at, at, connections), **fields)


@dataclass(frozen=True)
class World:
    """A team with an agent, and what makes more of it."""

    storage: Storage
    team: Team
    agent: Agent

    @classmethod
    async def make(cls, storage: Storage) -> Self:
        owner = team()
        await storage.add_team(owner)
        world = cls(storage, owner, agent(owner.id))
        async with storage.team(owner.id) as unit:
            await unit.agents.add(world.agent)
        return world

    def persona(self, **fields: Any) -> Persona:
        at = moment()
        made = Persona(PersonaId(new_uuid()), self.team.id, self.agent.id, PERSONA, at, at)
        return replace(made, **fields)

    def evaluation(self, **fields: Any) -> Evaluation:
        at = moment()
        spec = EvaluationSpec(
            name="Fast",
            metric=Metric.LATENCY_MS,
            method=Method.TIMESTAMP_DIFF,
            pass_criteria=PassCriteria.model_validate({"pass": "<= 2000", "fail": "> 5000"}),
        )
        made = Evaluation(EvaluationId(new_uuid()), self.team.id, self.agent.id, spec, at, at)
        return replace(made, **fields)

    def run(self, **fields: Any) -> Run:
        at = moment()
        made = Run(
            id=RunId(new_uuid()),
            team_id=self.team.id,
            agent_id=self.agent.id,
            connection_id=self.agent.connections[0].id,
            persona_ids=(PersonaId(new_uuid()), PersonaId(new_uuid())),
            evaluation_ids=(),
            options=RunOptions(repeats=3, session=SessionOptions(seed=7)),
            state=JobState.PENDING,
            created_at=at,
            updated_at=at,
        )
        return replace(made, **fields)

    def bootstrap(self, **fields: Any) -> Bootstrap:
        at = moment()
        made = Bootstrap(
            BootstrapId(new_uuid()), self.team.id, self.agent.id, BootstrapOptions(), JobState.PENDING, at, at
        )
        return replace(made, **fields)

    def session(self, **fields: Any) -> Session:
        at = moment()
        made = Session(
            id=SessionId(new_uuid()),
            team_id=self.team.id,
            agent_id=self.agent.id,
            connection_id=self.agent.connections[0].id,
            persona_id=PersonaId(new_uuid()),
            persona=PERSONA,
            options=SessionOptions(seed=2**63 - 1),
            state=SessionState.CREATED,
            created_at=at,
            updated_at=at,
        )
        return replace(made, **fields)

    async def stored_session(self, **fields: Any) -> Session:
        session = self.session(**fields)
        async with self.storage.team(self.team.id) as unit:
            await unit.sessions.add(session)
        return session


def message(session: Session, seq: int, **fields: Any) -> Message:
    made = Message(
        session_id=session.id,
        seq=seq,
        rev=seq + 1,
        id=MessageId(f"m{seq}"),
        attempt=1,
        turn=(seq + 1) // 2,
        sender=Sender.PERSONA if seq % 2 else Sender.AGENT,
        parts=(Text(f"Message {seq}"),),
        created_at=moment(),
    )
    return replace(made, **fields)


def result(session: Session, evaluation_id: EvaluationId, **fields: Any) -> EvaluationResult:
    made = EvaluationResult(
        id=ResultId(new_uuid()),
        team_id=session.team_id,
        session_id=session.id,
        evaluation_id=evaluation_id,
        name="Fast",
        metric=Metric.LATENCY_MS,
        method=Method.TIMESTAMP_DIFF,
        severity=Severity.HIGH,
        judgement=Judgement(ResultStatus.SCORED, 12.5, Verdict.PASS, "It was fast.", (2, 4)),
        rev=9,
        created_at=moment(),
    )
    return replace(made, **fields)


def at_ms(milliseconds: float, clock: str = "clock") -> WireTime:
    """A moment on the wire, so many milliseconds after a clock's beginning."""
    nanos = int(milliseconds * 1e6)
    return WireTime(1_700_000_000_000_000_000 + nanos, nanos, clock)
