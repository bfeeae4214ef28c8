"""Which domain type lies in which table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from uuid import UUID

from mimic_server.domain.agents import Agent
from mimic_server.domain.bootstraps import Bootstrap
from mimic_server.domain.evaluations import Evaluation, EvaluationResult, Judgement
from mimic_server.domain.messages import Message, RawPayload, WireTime
from mimic_server.domain.personas import Persona
from mimic_server.domain.runs import Run
from mimic_server.domain.sessions import Session
from mimic_server.domain.teams import ApiKey, Team
from mimic_server.storage import tables
from mimic_server.storage.mappings import Embedded, RowMapping

E = TypeVar("E")


def _team_of(entity: Any) -> tuple[str, UUID]:
    return "team", entity.team_id


def _agent_of(entity: Any) -> tuple[str, UUID]:
    return "agent", entity.agent_id


@dataclass(frozen=True, slots=True)
class Kind(Generic[E]):
    """One kind of thing that a repository keeps."""

    name: str
    """As errors call it, such as "agent"."""
    mapping: RowMapping[E]
    version: str = ""
    """The column that `if_etag` is compared with. Empty: it has none."""
    filters: frozenset[str] = frozenset()
    """Columns that listings may be narrowed to."""
    parent: Callable[[Any], tuple[str, UUID]] = _team_of
    """Kind and id of what a row must belong to."""


TEAMS = Kind("team", RowMapping(Team, tables.teams), "etag")
API_KEYS = Kind("api key", RowMapping(ApiKey, tables.api_keys))
AGENTS = Kind("agent", RowMapping(Agent, tables.agents), "etag")
PERSONAS = Kind(
    "persona", RowMapping(Persona, tables.agent_personas), "etag", frozenset({"agent_id", "id"}), _agent_of
)
EVALUATIONS = Kind(
    "evaluation",
    RowMapping(Evaluation, tables.agent_evaluations),
    "etag",
    frozenset({"agent_id", "enabled", "id"}),
    _agent_of,
)
RUNS = Kind("run", RowMapping(Run, tables.runs), "rev", frozenset({"agent_id", "state", "id"}), _agent_of)
BOOTSTRAPS = Kind(
    "bootstrap",
    RowMapping(Bootstrap, tables.bootstraps),
    "rev",
    frozenset({"agent_id", "state", "id"}),
    _agent_of,
)
SESSIONS = Kind(
    "session",
    RowMapping(
        Session,
        tables.sessions,
        derived={"attempt_number": lambda session: session.attempts[-1].number if session.attempts else 0},
    ),
    "rev",
    frozenset({"agent_id", "connection_id", "persona_id", "run_id", "repeat", "state", "channel", "id"}),
    _agent_of,
)

_WIRE_TIMES = ("sent", "delivered", "read", "first_byte", "last_byte")
MESSAGES = RowMapping(
    Message, tables.messages, embedded={name: Embedded(WireTime, f"{name}_") for name in _WIRE_TIMES}
)
RAW_PAYLOADS = RowMapping(RawPayload, tables.raw_payloads, embedded={"time": Embedded(WireTime, "time_")})
RESULTS = RowMapping(EvaluationResult, tables.evaluation_results, embedded={"judgement": Embedded(Judgement)})
