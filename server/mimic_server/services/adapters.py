"""Use cases of adapters. They are the server's, not a team's."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import suppress

from mimic_server.domain.adapters import AdapterLogLine, AdapterStatus
from mimic_server.domain.errors import FaultError, NotFoundError
from mimic_server.domain.ports import Adapters
from mimic_server.domain.teams import Principal


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
        """Ends and starts an adapter. Raises NotFoundError."""
        try:
            return await self._adapters.restart(channel)
        except FaultError:
            return self._status(channel)

    async def set_enabled(self, principal: Principal, channel: str, *, enabled: bool) -> AdapterStatus:
        """Switches an adapter on or off. Raises NotFoundError."""
        try:
            return await self._adapters.set_enabled(channel, enabled=enabled)
        except FaultError:
            return self._status(channel)

    def logs(
        self, principal: Principal, channel: str, *, follow: bool, level: str = "trace"
    ) -> AsyncIterator[AdapterLogLine]:
        """The last lines of an adapter's log, then, if asked, each new one. Raises NotFoundError."""
        return self._adapters.logs(channel, follow=follow, level=level)

    def _status(self, channel: str) -> AdapterStatus:
        for status in self._adapters.statuses():
            if status.channel == channel:
                return status
        raise NotFoundError("adapter", channel)
