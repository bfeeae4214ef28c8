"""The connections over one adapter: brought up, kept up over its restarts, and watched."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from uuid import UUID

import grpc
from mimic.adapter.v1 import adapter_pb2

from mimic_server.domain.adapters import AgentSetting, Connected, ConnectionState, ConnectionStatus, Manifest
from mimic_server.domain.agents import Connection
from mimic_server.domain.errors import FaultError, InvalidInputError, Violation
from mimic_server.domain.ids import ConnectionId
from mimic_server.host.convert import connect_request, read_agent_setting, read_status
from mimic_server.host.link import Link
from mimic_server.host.log_book import LogBook
from mimic_server.host.pace import Pace
from mimic_server.host.refusals import LinkLost, Refused
from mimic_server.host.secrets import Redactor, secrets_in
from mimic_server.host.settings import Limits

_UP = frozenset({ConnectionState.READY, ConnectionState.DEGRADED, ConnectionState.CONNECTING})
_STATUSES_PER_SECOND = 100
_STATUSES_AT_ONCE = 10_000
_NOBODYS = ConnectionId(UUID(int=0))


class _Kept:
    """A connection that somebody asked for."""

    __slots__ = ("agent_settings", "connection", "link", "lock", "status")

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.link: Link | None = None
        """Where it was brought up. None: nowhere, or with other settings."""
        self.status = ConnectionStatus(connection.id, ConnectionState.CONNECTING)
        self.agent_settings: tuple[AgentSetting, ...] = ()
        self.lock = asyncio.Lock()


class Connections:
    """The connections over one adapter.

    Args:
        limits: How long calls may take.
        redactor: Learns the connections' secrets.
        book: The adapter's log.
    """

    def __init__(self, limits: Limits, redactor: Redactor, book: LogBook) -> None:
        self._limits = limits
        self._redactor = redactor
        self._book = book
        self._kept: dict[ConnectionId, _Kept] = {}

    def status(self, connection_id: UUID) -> ConnectionStatus | None:
        """The last that is known of a connection. Returns None if nobody asked for it."""
        kept = self._kept.get(ConnectionId(connection_id))
        return None if kept is None else kept.status

    async def ensure(self, link: Link, manifest: Manifest, connection: Connection) -> Connected:
        """Brings a connection up, unless it is up with the same settings.

        Raises:
            InvalidInputError: The adapter refuses the settings.
            FaultError: The platform refuses or cannot be reached, or the adapter failed.
            LinkLost: The adapter was lost.
        """
        kept = self._kept.get(connection.id)
        if kept is None:
            kept = self._kept[connection.id] = _Kept(connection)
        elif self._is_up(kept, link, connection):
            return Connected(kept.status, kept.agent_settings)
        async with kept.lock:
            if not self._is_up(kept, link, connection):
                kept.connection = connection
                await self._bring_up(kept, link, manifest)
            return Connected(kept.status, kept.agent_settings)

    @staticmethod
    def _is_up(kept: _Kept, link: Link, connection: Connection) -> bool:
        return kept.link is link and kept.status.state in _UP and kept.connection.spec == connection.spec

    async def _bring_up(self, kept: _Kept, link: Link, manifest: Manifest) -> None:
        connection = kept.connection
        spec = connection.spec
        kept.link = None
        kept.status = ConnectionStatus(connection.id, ConnectionState.CONNECTING)
        self._redactor.learn(connection.id, secrets_in(spec.settings, manifest.settings_schema_json))
        try:
            request = self._request(connection, manifest)
            answer = await link.ask(link.adapter.Connect(request, timeout=self._limits.call_seconds))
        except InvalidInputError:
            self._kept.pop(connection.id, None)
            raise
        except Refused as error:
            refusal = error.refusal.redacted(self._redactor.text)
            if refusal.code is grpc.StatusCode.INVALID_ARGUMENT:
                self._kept.pop(connection.id, None)
                raise InvalidInputError(
                    refusal.violations or (Violation("settings", refusal.message),)
                ) from None
            refused = refusal.code is grpc.StatusCode.UNAUTHENTICATED
            state = ConnectionState.BAD_CREDENTIALS if refused else ConnectionState.FAILED
            fault = refusal.fault()
            kept.status = ConnectionStatus(connection.id, state, fault.message, fault.remedy)
            raise FaultError(fault) from None
        kept.link = link
        kept.status = self._read_status(answer.status, connection.id)
        kept.agent_settings = tuple(map(read_agent_setting, answer.agent_settings))
        self._kept[connection.id] = kept

    @staticmethod
    def _request(connection: Connection, manifest: Manifest) -> adapter_pb2.ConnectRequest:
        mode = connection.spec.mode
        if mode is not None and mode not in manifest.modes:
            offered = " or ".join(manifest.modes) or "no mode that this server knows"
            raise InvalidInputError.of("mode", f"the {manifest.channel} adapter offers {offered}")
        try:
            return connect_request(connection)
        except ValueError:
            raise InvalidInputError.of("settings", "hold something that JSON has not") from None

    def _read_status(
        self, proto: adapter_pb2.ConnectionStatus, connection_id: ConnectionId
    ) -> ConnectionStatus:
        status = read_status(proto, connection_id)
        return replace(
            status, reason=self._redactor.text(status.reason), remedy=self._redactor.text(status.remedy)
        )

    async def check(self, link: Link, connection: Connection) -> ConnectionStatus:
        """Probes a connection that is up.

        Raises:
            FaultError: The adapter failed.
            Refused: It does not know the connection.
            LinkLost: The adapter was lost.
        """
        request = adapter_pb2.CheckConnectionRequest(connection_id=str(connection.id))
        try:
            answer = await link.ask(link.adapter.CheckConnection(request, timeout=self._limits.call_seconds))
        except Refused as error:
            if error.refusal.code is grpc.StatusCode.NOT_FOUND:
                raise
            raise FaultError(error.refusal.redacted(self._redactor.text).fault()) from None
        took = answer.took.ToTimedelta().total_seconds() * 1000
        status = self._read_status(answer.status, connection.id)
        if (kept := self._kept.get(connection.id)) is not None:
            kept.status = status
        return replace(status, took_ms=took)

    async def drop(self, link: Link | None, connection_id: UUID) -> None:
        """Takes a connection down and forgets it; where the adapter cannot be told, it is only forgotten."""
        kept = self._kept.pop(ConnectionId(connection_id), None)
        if link is not None and (kept is None or kept.link is link):
            request = adapter_pb2.DisconnectRequest(connection_id=str(connection_id))
            try:
                await link.ask(link.adapter.Disconnect(request, timeout=self._limits.call_seconds))
            except (Refused, LinkLost) as error:
                self._book.note("warn", f"could not take connection {connection_id} down: {error}")
        self._redactor.forget(connection_id)

    def mistrust(self, connection_id: ConnectionId) -> None:
        """Brings a connection up again at its next use: the adapter says that it does not know it."""
        if (kept := self._kept.get(connection_id)) is not None:
            kept.link = None

    async def bring_all_up(self, link: Link, manifest: Manifest) -> None:
        """Brings up again whatever was asked for, after a restart. How it went shows in each one's status."""

        async def bring_up(kept: _Kept) -> None:
            try:
                await self.ensure(link, manifest, kept.connection)
            except (FaultError, InvalidInputError) as error:
                self._book.note("error", f"could not bring connection {kept.connection.id} up again: {error}")
            except LinkLost:
                pass

        await asyncio.gather(*map(bring_up, list(self._kept.values())))

    async def watch(self, link: Link) -> None:
        """Notes what the adapter tells of its connections, until it tells no more.

        Raises:
            Refused: It ended the call with a status.
            LinkLost: The adapter was lost.
        """
        await link.ask(self._watch(link))

    async def _watch(self, link: Link) -> None:
        pace = Pace(_STATUSES_PER_SECOND, _STATUSES_AT_ONCE)
        async for told in link.adapter.WatchConnections(adapter_pb2.WatchConnectionsRequest()):
            kept = self._kept.get(_id(told.status.connection_id))
            if kept is not None and kept.link is link:
                kept.status = self._read_status(told.status, kept.connection.id)
            if wait := pace.spend(1):
                await asyncio.sleep(wait)


def _id(text: str) -> ConnectionId:
    try:
        return ConnectionId(UUID(text))
    except ValueError:
        return _NOBODYS
