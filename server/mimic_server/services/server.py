"""Use cases of the server itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from mimic_server.domain.ports import Storage
from mimic_server.domain.teams import Principal


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """Which server this is."""

    version: str
    """Version of Mimic."""
    roles: tuple[str, ...]
    """What the process does: "api", "worker"."""
    model: str
    """The language model in use."""
    scripted: bool
    """True: the model is the script, no language model."""
    orchestrator: str
    """"embedded" or "temporal"."""
    database: str
    """"sqlite" or "postgresql"."""
    started_at: datetime


@dataclass(frozen=True, slots=True)
class EffectiveSetting:
    """One setting in force."""

    name: str
    """Such as "DATABASE_URL"."""
    value: str
    """Secrets masked already."""
    source: str
    """"default", "environment", "file" or "flag"."""


class ServerService:
    """What the server says of itself."""

    def __init__(self, storage: Storage, info: ServerInfo, settings: Sequence[EffectiveSetting]) -> None:
        self._storage = storage
        self._info = info
        self._settings = tuple(settings)

    async def info(self, principal: Principal) -> tuple[ServerInfo, str]:
        """Which server this is, and the revision of its database's schema. Raises UnavailableError."""
        return self._info, await self._storage.schema_revision()

    async def effective_settings(self, principal: Principal) -> Sequence[EffectiveSetting]:
        """The settings in force."""
        return self._settings
