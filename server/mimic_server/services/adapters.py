"""Use cases of adapters. They are the server's, not a team's."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import suppress

from mimic_server.domain.adapters import AdapterLogLine, AdapterStatus
from mimic_server.domain.errors import FaultError, NotFoundError, PermissionDeniedError
from mimic_server.domain.ports import Adapters
from mimic_server.domain.teams import Principal
from mimic_server.services.teams import FIRST_TEAM_ID


class AdapterService:
    """The adapters that this server knows."""

    def __init__(self, adapters: Adapters) -> None:
        self._adapters = adapters

    async def list(self, principal: Principal) -> Sequence[AdapterStatus]:
        """All adapters, by channel."""
        return sorted(self._adapters.statuses(), key=lambda status: status.channel)

    async def get(self, principal: Principal, channel: str) -> AdapterStatus:
        """An adapter, started if need be. Its state says why if it does not start.

        Raises:
            NotFoundError: No adapter serves the channel.
        """
        with suppress(FaultError):
            await self._adapters.manifest(channel)
        return self._status(channel)

    async def restart(self, principal: Principal, channel: str) -> AdapterStatus:
        """Ends and starts an adapter. Raises NotFoundError, PermissionDeniedError."""
        _check_runs_the_server(principal)
        try:
            return await self._adapters.restart(channel)
        except FaultError:
            return self._status(channel)

    async def set_enabled(self, principal: Principal, channel: str, *, enabled: bool) -> AdapterStatus:
        """Switches an adapter on or off. Raises NotFoundError, PermissionDeniedError."""
        _check_runs_the_server(principal)
        try:
            return await self._adapters.set_enabled(channel, enabled=enabled)
        except FaultError:
            return self._status(channel)

    def logs(
        self, principal: Principal, channel: str, *, follow: bool, level: str = "trace"
    ) -> AsyncIterator[AdapterLogLine]:
        """The last lines of an adapter's log, then, if asked, each new one.

        Raises:
            NotFoundError: No adapter serves the channel.
            PermissionDeniedError: The caller's team does not run the server.
        """
        _check_runs_the_server(principal)
        return self._adapters.logs(channel, follow=follow, level=level)

    def _status(self, channel: str) -> AdapterStatus:
        for status in self._adapters.statuses():
            if status.channel == channel:
                return status
        raise NotFoundError("adapter", channel)


def _check_runs_the_server(principal: Principal) -> None:
    """Adapters serve all teams, and their logs name all teams' sessions."""
    if principal.team_id != FIRST_TEAM_ID:
        raise PermissionDeniedError(
            "NOT_THE_FIRST_TEAM",
            "adapters serve all teams: only admins of the server's first team may do this",
        )
