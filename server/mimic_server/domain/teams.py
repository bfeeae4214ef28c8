"""Teams, their API keys, and who a call comes from."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime

from mimic_server.domain.ids import ApiKeyId, TeamId


class Role(enum.IntEnum):
    """What a credential may do; a higher one may do all that a lower one may."""

    VIEWER = 1
    """Reads."""
    MEMBER = 2
    """Reads and writes agents, personas, evaluations, sessions and runs."""
    ADMIN = 3
    """Also teams, keys and adapters."""


@dataclass(frozen=True, slots=True)
class Team:
    """Whom everything belongs to."""

    id: TeamId
    name: str
    created_at: datetime
    updated_at: datetime
    etag: int = 1
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A credential of a team. The key itself is shown once and never stored."""

    id: ApiKeyId
    team_id: TeamId
    name: str
    role: Role
    prefix: str
    """The key's first characters, for recognition."""
    key_sha256: bytes
    created_at: datetime
    expires_at: datetime | None = None
    """None: does not expire."""
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None
    """To the minute."""
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who a call comes from."""

    team_id: TeamId
    role: Role
    subject: str
    """For logs and the audit: `key:<id>` or `user:<subject>`."""
