"""The host's face towards the rest of the server: the port `Adapters`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Self
from uuid import UUID

from mimic_server.domain.adapters import (
    AdapterLogLine,
    AdapterStatus,
    Connected,
    ConnectionStatus,
    Manifest,
    Open,
)
from mimic_server.domain.agents import Connection
from mimic_server.domain.errors import NotFoundError
from mimic_server.domain.ids import SessionId
from mimic_server.host.conversation import HostConversation
from mimic_server.host.discovery import Discovery, Found
from mimic_server.host.settings import Attached, Launch, Limits
from mimic_server.host.spawner import Spawner
from mimic_server.host.supervisor import Supervisor


class PluginHost:
    """Adapters by channel, and the connections and conversations over them. Implements `Adapters`.

    Make it inside the event loop that it is used in. An adapter is started when it is first needed, or by
    `start`. An attached address comes before an executable of the same channel; among executables the first
    of `directories`, the running interpreter's own directory, then PATH wins. What is shadowed is logged.
    """

    def __init__(
        self,
        *,
        directories: Sequence[Path] = (),
        search_path: str | None = None,
        attached: Mapping[str, Attached] | None = None,
        launch: Launch | None = None,
        launch_by_channel: Mapping[str, Launch] | None = None,
        limits: Limits | None = None,
        on_log: Callable[[AdapterLogLine], None] | None = None,
    ) -> None:
        """Looks for adapters; starts none.

        Args:
            directories: Where executables named `mimic-adapter-<channel>` are looked for first.
            search_path: Where they are looked for last, as PATH has it. None: the process's PATH.
            attached: Adapters that others run, by channel.
            launch: How adapters are launched. None: with nothing special.
            launch_by_channel: The same for single channels, instead of `launch`.
            limits: How long the host waits. None: the defaults.
            on_log: Called with each line of each adapter's log. Must be quick.

        Raises:
            ValueError: An attached address is not host:port, or plaintext to another machine.
        """
        self._limits = limits or Limits()
        self._launch = launch or Launch()
        self._launch_by_channel = dict(launch_by_channel or {})
        self._on_log = on_log
        self._spawner = Spawner()
        self._discovery = Discovery(directories, search_path, attached or {})
        self._supervisors = {
            channel: self._supervise(found) for channel, found in sorted(self._discovery.all().items())
        }
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def start(self, channels: Sequence[str] | None = None) -> None:
        """Starts adapters now rather than at first use, at once. Failures show in `statuses`.

        Args:
            channels: Which ones. None: all that are known.

        Raises:
            NotFoundError: No adapter serves one of the channels.
        """
        wanted = list(self._supervisors) if channels is None else channels
        await asyncio.gather(*(one.start() for one in [self._of(channel) for channel in wanted]))

    async def close(self) -> None:
        """Ends all adapters at once, gently first: at most about 8 s. A second call does nothing."""
        if self._closed:
            return
        self._closed = True
        await asyncio.gather(*(supervisor.close() for supervisor in self._supervisors.values()))
        self._spawner.close()

    async def manifest(self, channel: str) -> Manifest:
        return (await self._of(channel).ready()).manifest

    async def connect(self, connection: Connection) -> Connected:
        return await self._of(connection.spec.channel).connect(connection)

    async def check(self, connection: Connection) -> ConnectionStatus:
        return await self._of(connection.spec.channel).check(connection)

    async def disconnect(self, channel: str, connection_id: UUID) -> None:
        if channel in self._supervisors:
            await self._supervisors[channel].disconnect(connection_id)

    async def open(self, connection: Connection, request: Open) -> HostConversation:
        return await self._of(connection.spec.channel).open(connection, request)

    async def media(self, channel: str, session_id: SessionId, media_id: str) -> bytes:
        return await self._of(channel).media(session_id, media_id)

    def connection_status(self, channel: str, connection_id: UUID) -> ConnectionStatus | None:
        """The last that is known of a connection. Returns None if it was not brought up."""
        supervisor = self._supervisors.get(channel)
        return None if supervisor is None else supervisor.connections.status(connection_id)

    def statuses(self) -> Sequence[AdapterStatus]:
        return [supervisor.status() for _, supervisor in sorted(self._supervisors.items())]

    async def restart(self, channel: str) -> AdapterStatus:
        supervisor = self._of(channel)
        await supervisor.restart()
        return supervisor.status()

    async def set_enabled(self, channel: str, *, enabled: bool) -> AdapterStatus:
        supervisor = self._of(channel)
        await (supervisor.enable() if enabled else supervisor.disable())
        return supervisor.status()

    def logs(self, channel: str, *, follow: bool, level: str = "trace") -> AsyncIterator[AdapterLogLine]:
        return self._of(channel).book.read(follow=follow, level=level)

    def _of(self, channel: str) -> Supervisor:
        supervisor = self._supervisors.get(channel)
        if supervisor is None:
            # It may have been installed meanwhile.
            found = None if self._closed else self._discovery.one(channel)
            if found is None:
                raise NotFoundError("adapter", channel)
            supervisor = self._supervisors[channel] = self._supervise(found)
        return supervisor

    def _supervise(self, found: Found) -> Supervisor:
        launch = self._launch_by_channel.get(found.channel, self._launch)
        return Supervisor(found, launch, self._spawner, self._limits, self._on_log)
