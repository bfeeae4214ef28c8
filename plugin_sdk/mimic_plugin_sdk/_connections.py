"""The connections of this process: brought up, watched, probed and taken down."""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from grpc import StatusCode
from mimic.adapter.v1 import adapter_pb2 as pb

from mimic_plugin_sdk import _convert
from mimic_plugin_sdk._adapter import Adapter
from mimic_plugin_sdk._connection import AgentSetting, Connection, ConnectionState, ConnectionStatus
from mimic_plugin_sdk._errors import CredentialsRefused, FaultError
from mimic_plugin_sdk._manifest import Mode
from mimic_plugin_sdk._settings import checked_settings
from mimic_plugin_sdk._status import Failure, failure_of, refused

_logger = logging.getLogger("mimic_plugin_sdk")


@dataclass(slots=True)
class _Entry:
    mode: Mode
    given: Mapping[str, Any]
    connection: Connection[Any]
    agent_settings: Sequence[AgentSetting] = ()


@dataclass(slots=True)
class _Watcher:
    news: dict[str, ConnectionStatus]
    awake: asyncio.Event = field(default_factory=asyncio.Event)


class Connections:
    """The connections of this process, by the host's id."""

    def __init__(self, adapter: Adapter[Any]) -> None:
        """Begin with none.

        Args:
            adapter: The author's adapter.
        """
        self._adapter = adapter
        self._entries: dict[str, _Entry] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._live: dict[str, Connection[Any]] = {}
        self._watchers: list[_Watcher] = []

    def get(self, connection_id: str) -> Connection[Any] | None:
        """Return a connection that is up. Returns None where there is none."""
        entry = self._entries.get(connection_id)
        return None if entry is None else entry.connection

    def ids(self) -> list[str]:
        """Return the ids of the connections that are up."""
        return list(self._entries)

    def lock(self, connection_id: str) -> asyncio.Lock:
        """Return the lock that orders what happens to one connection."""
        return self._locks.setdefault(connection_id, asyncio.Lock())

    def same(self, connection_id: str, mode: Mode, given: Mapping[str, Any]) -> pb.ConnectResponse | None:
        """Return what the first Connect was answered. Returns None when this one asks for something else."""
        entry = self._entries.get(connection_id)
        if entry is None or entry.mode is not mode or entry.given != given:
            return None
        return _answer(entry)

    async def connect(
        self, connection_id: str, mode: Mode, given: Mapping[str, Any]
    ) -> pb.ConnectResponse | Failure:
        """Bring a connection up that is not. The caller holds its lock.

        Args:
            connection_id: The host's id of it.
            mode: One of the manifest's.
            given: The settings as they came.

        Returns:
            The answer, or why not.
        """
        connection = None
        try:
            settings = checked_settings(self._adapter.settings_type, given)
            connection = Connection(connection_id, mode, settings, self._changed)
            self._live[connection_id] = connection
            self._changed(connection)
            entry = _Entry(mode, given, connection)
            entry.agent_settings = await self._adapter.connect(connection)
        except BaseException as error:
            if connection is not None:
                connection.set_state(*_down(error))
                await self._undo(connection)
            if not isinstance(error, Exception):
                raise
            return failure_of(error, "connect")
        if connection.status.state is ConnectionState.CONNECTING:
            connection.set_state(ConnectionState.READY)
        self._entries[connection_id] = entry
        return _answer(entry)

    async def disconnect(self, connection_id: str) -> None:
        """Take a connection down. The caller holds its lock, and has ended its sessions.

        Args:
            connection_id: The host's id of it; one that is unknown is down.
        """
        entry = self._entries.pop(connection_id, None)
        if entry is not None:
            await self._undo(entry.connection)

    async def _undo(self, connection: Connection[Any]) -> None:
        self._live.pop(connection.id, None)
        try:
            await self._adapter.disconnect(connection)
        except Exception:
            _logger.exception("connection %s: disconnect failed; it counts as down", connection.id)

    async def check(self, connection_id: str) -> ConnectionStatus | Failure:
        """Probe a connection.

        Args:
            connection_id: The host's id of it.

        Returns:
            What the probe found, or why it could not.
        """
        connection = self.get(connection_id)
        if connection is None:
            text = f"connection {connection_id!r} was not brought up; call Connect first"
            return refused(StatusCode.NOT_FOUND, "CONNECTION_UNKNOWN", text)
        try:
            return await self._adapter.check(connection)
        except FaultError as error:
            return ConnectionStatus(*_down(error))
        except Exception as error:  # noqa: BLE001 - an author's code may raise anything
            return failure_of(error, "check")

    def _changed(self, connection: Connection[Any]) -> None:
        if self._live.get(connection.id) is not connection:
            return  # taken down, or replaced: its author may not have noticed yet
        for watcher in self._watchers:
            watcher.news[connection.id] = connection.status
            watcher.awake.set()

    async def watch(self) -> AsyncIterator[pb.ConnectionStatus]:
        """Yield the state of each connection, then each change; what a slow reader missed is skipped."""
        watcher = _Watcher({name: entry.connection.status for name, entry in self._entries.items()})
        self._watchers.append(watcher)
        try:
            while True:
                while watcher.news:
                    connection_id = next(iter(watcher.news))
                    yield _convert.status_to_wire(connection_id, watcher.news.pop(connection_id))
                watcher.awake.clear()
                await watcher.awake.wait()
        finally:
            self._watchers.remove(watcher)


def _answer(entry: _Entry) -> pb.ConnectResponse:
    return pb.ConnectResponse(
        status=_convert.status_to_wire(entry.connection.id, entry.connection.status),
        agent_settings=[_convert.agent_setting_to_wire(one) for one in entry.agent_settings],
    )


def _down(error: BaseException) -> tuple[ConnectionState, str, str]:
    if isinstance(error, CredentialsRefused):
        return ConnectionState.BAD_CREDENTIALS, error.fault.message, error.fault.remedy
    if isinstance(error, FaultError):
        return ConnectionState.FAILED, error.fault.message, error.fault.remedy
    return ConnectionState.FAILED, f"{type(error).__name__} while connecting", ""
