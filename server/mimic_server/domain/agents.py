"""Agents under test, and the connections that reach them."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from mimic_server.domain.ids import AgentId, ConnectionId, TeamId
from mimic_server.domain.specs import LongText, Name, Spec

Channel = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$")]
"""A channel's name, as in `mimic-adapter-<channel>`."""


class Mode(enum.StrEnum):
    """How an adapter stands towards the platform."""

    LIVE = "LIVE"
    EMULATOR = "EMULATOR"


class ConnectionSpec(Spec):
    """How an agent is reached."""

    channel: Channel
    mode: Mode | None = None
    """None: the first mode of the adapter's manifest."""
    settings: Annotated[Mapping[str, Any], Field(default_factory=dict)]
    """Settings as the adapter's manifest describes them; checked by the adapter itself."""


class AgentSpec(Spec):
    """What an agent is, for people and for the language model that bootstraps it."""

    name: Name
    description: LongText = ""
    """What the agent does and for whom: the better it is told, the better personas and evaluations fit."""
    platform: Annotated[str, StringConstraints(strip_whitespace=True, max_length=100)] = ""
    """Where people meet it, such as "whatsapp" or "web chat"."""
    version: Annotated[str, StringConstraints(strip_whitespace=True, max_length=100)] = ""
    """Version under test, so that runs can be compared."""


@dataclass(frozen=True, slots=True)
class Connection:
    """An agent reached through an adapter with given settings."""

    id: ConnectionId
    spec: ConnectionSpec


@dataclass(frozen=True, slots=True)
class Agent:
    """An agent of a team."""

    id: AgentId
    team_id: TeamId
    spec: AgentSpec
    created_at: datetime
    updated_at: datetime
    connections: tuple[Connection, ...] = field(default=())
    etag: int = 1
    request_id: str = ""

    def connection(self, connection_id: ConnectionId) -> Connection | None:
        """The connection of this id. Returns None if it is not one of the agent's."""
        return next((c for c in self.connections if c.id == connection_id), None)
