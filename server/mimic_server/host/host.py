"""The host's face towards the rest of the server: the port `Adapters`."""

from __future__ import annotations

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
from mimic_server.domain.ids import SessionId
from mimic_server.domain.ports import Conversation
from mimic_server.host.settings import Attached, Launch, Limits

# SKELETON: signatures are final, bodies follow.


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
        raise NotImplementedError

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
        raise NotImplementedError

    async def close(self) -> None:
        """Ends all adapters at once, gently first: at most about 8 s. A second call does nothing."""
        raise NotImplementedError

    async def manifest(self, channel: str) -> Manifest:
        raise NotImplementedError

    async def connect(self, connection: Connection) -> Connected:
        raise NotImplementedError

    async def check(self, connection: Connection) -> ConnectionStatus:
        raise NotImplementedError

    async def disconnect(self, channel: str, connection_id: UUID) -> None:
        raise NotImplementedError

    async def open(self, connection: Connection, request: Open) -> Conversation:
        raise NotImplementedError

    async def media(self, channel: str, session_id: SessionId, media_id: str) -> bytes:
        raise NotImplementedError

    def connection_status(self, connection_id: UUID) -> ConnectionStatus | None:
        """The last that is known of a connection. Returns None if it was not brought up."""
        raise NotImplementedError

    def statuses(self) -> Sequence[AdapterStatus]:
        raise NotImplementedError

    async def restart(self, channel: str) -> AdapterStatus:
        raise NotImplementedError

    async def set_enabled(self, channel: str, *, enabled: bool) -> AdapterStatus:
        raise NotImplementedError

    def logs(self, channel: str, *, follow: bool, level: str = "trace") -> AsyncIterator[AdapterLogLine]:
        raise NotImplementedError
