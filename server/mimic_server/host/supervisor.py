"""Keeps one adapter running: its states, its restarts, and what is done over it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID

import grpc
from mimic.adapter.v1 import adapter_pb2

from mimic_server.domain.adapters import (
    AdapterLogLine,
    AdapterState,
    AdapterStatus,
    Connected,
    ConnectionStatus,
    Manifest,
    Open,
)
from mimic_server.domain.agents import Connection
from mimic_server.domain.errors import FaultError, InvalidInputError, NotFoundError
from mimic_server.domain.faults import Fault, FaultSource
from mimic_server.domain.ids import SessionId
from mimic_server.domain.ports import ConversationLost
from mimic_server.host.backoff import CrashBudget
from mimic_server.host.connections import Connections
from mimic_server.host.conversation import HostConversation
from mimic_server.host.discovery import Found
from mimic_server.host.link import Link
from mimic_server.host.log_book import LogBook
from mimic_server.host.process import StartError
from mimic_server.host.refusals import LinkLost, Refused
from mimic_server.host.running import Running
from mimic_server.host.secrets import Redactor
from mimic_server.host.settings import Launch, Limits
from mimic_server.host.spawner import Spawner

_logger = logging.getLogger("mimic.host")


class Supervisor:
    """Keeps one adapter running.

    STOPPED -> STARTING -> READY; a failure of either leads to BACKING_OFF and STARTING again, until the crash
    budget is spent: FAILED_TO_STAY_RUNNING. DISABLED and STOPPING are somebody's wish. An attached adapter
    has no budget: going back to an address costs nothing, and nobody here could start it.

    Args:
        found: The adapter.
        launch: How it is launched.
        spawner: Starts its processes.
        limits: How long to wait for what.
        on_log: Called with each line of its log.
    """

    def __init__(
        self,
        found: Found,
        launch: Launch,
        spawner: Spawner,
        limits: Limits,
        on_log: Callable[[AdapterLogLine], None] | None,
    ) -> None:
        self._found = found
        self._launch = launch
        self._spawner = spawner
        self._limits = limits
        self._redactor = Redactor()
        self.book = LogBook(found.channel, limits, self._redactor, on_log)
        self.connections = Connections(limits, self._redactor, self.book)
        self._budget = CrashBudget(limits)
        self._state = AdapterState.STOPPED
        self._reason = "not used yet"
        self._remedy = ""
        self._since = datetime.now(UTC)
        self._changed = asyncio.Event()
        self._life: asyncio.Task[None] | None = None
        self._running: Running | None = None
        self._manifest: Manifest | None = None
        self._starts = 0
        self._failed_starts = 0
        self._switching = asyncio.Lock()
        self._closed = False

    # -- How it is doing -----------------------------------------------------------------------------------

    def status(self) -> AdapterStatus:
        """How it is doing."""
        running = self._running
        return AdapterStatus(
            channel=self._found.channel,
            state=self._state,
            reason=self._reason,
            remedy=self._remedy,
            restarts=max(self._starts - 1, 0),
            launched_by=self._found.launched_by,
            pid=None if running is None else running.pid,
            since=self._since,
            manifest=self._manifest,
            sessions=0 if running is None else running.link.conversations,
        )

    async def ready(self) -> Running:
        """The running adapter, started if need be; a restart that is under way is waited for.

        Raises:
            FaultError: It does not start, or is not to be started.
        """
        failed_starts = self._failed_starts
        while True:
            if self._running is not None and self._state is AdapterState.READY:
                return self._running
            if self._state in {AdapterState.FAILED_TO_STAY_RUNNING, AdapterState.DISABLED} or self._closed:
                raise FaultError(self._fault("ADAPTER_NOT_RUNNING"))
            if self._failed_starts > failed_starts:
                raise FaultError(self._fault("ADAPTER_DID_NOT_START"))
            if self._state is AdapterState.STOPPED:
                self._begin()
            await self._changed.wait()

    def _fault(self, reason: str) -> Fault:
        text = f"the {self._found.channel} adapter does not run: {self._reason}"
        return Fault(FaultSource.ADAPTER, reason, text, self._remedy)

    def _set(self, state: AdapterState, reason: str = "", remedy: str = "") -> None:
        self._state, self._reason, self._remedy = state, reason, remedy
        self._since = datetime.now(UTC)
        self._changed.set()
        self._changed = asyncio.Event()
        bad = state in {AdapterState.BACKING_OFF, AdapterState.FAILED_TO_STAY_RUNNING}
        text = f"{state}: {reason}" if reason else str(state)
        self.book.note("error" if bad else "info", text)
        _logger.log(logging.WARNING if bad else logging.INFO, "%s adapter: %s", self._found.channel, text)

    # -- Its life ------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        self._set(AdapterState.STARTING, f"`{self._found.launched_by}` is being started")
        self._life = asyncio.create_task(self._live())

    async def _live(self) -> None:
        try:
            while await self._once():
                pass
        except Exception:
            _logger.exception("the host failed to supervise the %s adapter", self._found.channel)
            reason = "the host itself failed to supervise it; see the server's log"
            self._set(AdapterState.FAILED_TO_STAY_RUNNING, reason, "restart the adapter")

    async def _once(self) -> bool:
        """Runs it until it fails, and waits for a while. Returns False if it is to be left alone."""
        self._starts += 1
        running = None
        try:
            running = await Running.start(self._found, self._launch, self._spawner, self.book, self._limits)
        except StartError as error:
            self._failed_starts += 1
            failure = error
        else:
            self._running, self._manifest = running, running.manifest
            self._set(AdapterState.READY)
            failure = await running.watch(self.connections, self.book, self._limits)
        wait = self._failed(failure)
        if running is not None:
            running.link.lose(f"the {self._found.channel} adapter failed: {failure.reason}")
            await running.kill()
            self._running = None
        if wait is None:
            return False
        await asyncio.sleep(wait)
        self._set(AdapterState.STARTING, f"`{self._found.launched_by}` is being started again")
        return True

    def _failed(self, failure: StartError) -> float | None:
        """Notes a failure. Returns the seconds until the next start, or None if there is to be none."""
        self._budget.failed()
        if self._found.attached is None and self._budget.spent:
            count, window = self._budget.failures, self._limits.crash_window_seconds / 60
            reason = f"{count} failures within {window:g} min, the last: {failure.reason}"
            self._set(AdapterState.FAILED_TO_STAY_RUNNING, reason, failure.remedy)
            return None
        wait = self._budget.wait_seconds()
        reason = f"{failure.reason}; it is started again in {wait:.1f} s"
        self._set(AdapterState.BACKING_OFF, reason, failure.remedy)
        return wait

    async def start(self) -> None:
        """Starts it if it is stopped, and waits for that. How it went shows in `status`."""
        with contextlib.suppress(FaultError):
            await self.ready()

    async def restart(self) -> None:
        """Ends it and starts it anew, its crash budget whole again."""
        async with self._switching:
            await self._stop(AdapterState.STOPPED, "being restarted")
            self._budget.renew()
        await self.start()

    async def enable(self) -> None:
        """Switches it on, and starts it."""
        async with self._switching:
            if self._state in {AdapterState.DISABLED, AdapterState.FAILED_TO_STAY_RUNNING}:
                self._budget.renew()
                self._set(AdapterState.STOPPED, "switched on")
        await self.start()

    async def disable(self) -> None:
        """Ends it, and does not start it again."""
        async with self._switching:
            await self._stop(AdapterState.DISABLED, "switched off", "switch it on")

    async def close(self) -> None:
        """Ends it for good."""
        self._closed = True
        async with self._switching:
            await self._stop(AdapterState.STOPPED, "the host ends")
        self.book.close()

    async def _stop(self, state: AdapterState, reason: str, remedy: str = "") -> None:
        if self._life is not None and not self._life.done():
            self._set(AdapterState.STOPPING, reason)
            self._life.cancel()
            await asyncio.gather(self._life, return_exceptions=True)
        self._life = None
        if self._running is not None:
            await self._running.end(self._limits, f"the {self._found.channel} adapter ends: {reason}")
            self._running = None
        self._set(state, reason, remedy)

    # -- What is done over it ------------------------------------------------------------------------------

    async def connect(self, connection: Connection) -> Connected:
        """Brings a connection up. Raises InvalidInputError, FaultError."""
        running = await self.ready()
        try:
            return await self.connections.ensure(running.link, running.manifest, connection)
        except LinkLost as error:
            raise FaultError(self._lost(error)) from None

    async def check(self, connection: Connection) -> ConnectionStatus:
        """Probes a connection, after bringing it up. Raises InvalidInputError, FaultError."""
        for is_last in (False, True):
            running = await self.ready()
            try:
                await self.connections.ensure(running.link, running.manifest, connection)
                return await self.connections.check(running.link, connection)
            except LinkLost as error:
                raise FaultError(self._lost(error)) from None
            except Refused as error:
                self.connections.mistrust(connection.id)
                if is_last:
                    raise FaultError(error.refusal.redacted(self._redactor.text).fault()) from None
        raise AssertionError("the loop returns or raises")

    async def disconnect(self, connection_id: UUID) -> None:
        """Takes a connection down."""
        running = self._running
        await self.connections.drop(None if running is None else running.link, connection_id)

    async def open(self, connection: Connection, request: Open) -> HostConversation:
        """Opens a conversation; waits while the adapter holds as many as it can.

        Raises:
            ConversationLost: The adapter died before it answered, or its restart failed and is tried again.
            FaultError: The adapter refuses, or will not start.
        """
        try:
            running = await self.ready()
        except FaultError as error:
            if self._state is AdapterState.BACKING_OFF:
                raise ConversationLost(error.fault.message) from None
            raise
        try:
            return await self._open(running, connection, request)
        except LinkLost as error:
            raise ConversationLost(error.reason) from None
        except InvalidInputError as error:
            raise FaultError(Fault(FaultSource.MIMIC, "SETTINGS_INVALID", error.message)) from None

    async def _open(self, running: Running, connection: Connection, request: Open) -> HostConversation:
        link, capabilities = running.link, running.manifest.capabilities
        for is_last in (False, True):
            await self.connections.ensure(link, running.manifest, connection)
            await link.enter()
            conversation = HostConversation(link, capabilities, request, self.book, self._limits)
            try:
                await conversation.open()
            except Refused as error:
                if is_last or error.refusal.code is not grpc.StatusCode.NOT_FOUND:
                    raise FaultError(error.refusal.redacted(self._redactor.text).fault()) from None
                # It may have lost its connections without our notice; an attached one was restarted, say.
                self.connections.mistrust(connection.id)
            else:
                return conversation
        raise AssertionError("the loop returns or raises")

    async def media(self, session_id: SessionId, media_id: str) -> bytes:
        """Reads a file that an agent sent. Raises NotFoundError, FaultError."""
        running = await self.ready()
        try:
            return await running.link.ask(self._media(running.link, session_id, media_id))
        except LinkLost as error:
            raise FaultError(self._lost(error)) from None
        except Refused as error:
            if error.refusal.code is grpc.StatusCode.NOT_FOUND:
                raise NotFoundError("media", media_id) from None
            raise FaultError(error.refusal.redacted(self._redactor.text).fault()) from None

    async def _media(self, link: Link, session_id: SessionId, media_id: str) -> bytes:
        request = adapter_pb2.GetMediaRequest(session_id=str(session_id), media_id=media_id)
        data = bytearray()
        async for piece in link.adapter.GetMedia(request, timeout=self._limits.call_seconds):
            data += piece.data
            if len(data) > self._limits.message_bytes:
                most = f"{self._limits.message_bytes // 1024 // 1024} MiB"
                text = f"the {self._found.channel} adapter gave a file larger than {most}"
                raise FaultError(Fault(FaultSource.ADAPTER, "MEDIA_TOO_LARGE", text))
        return bytes(data)

    def _lost(self, error: LinkLost) -> Fault:
        text = f"the {self._found.channel} adapter was lost meanwhile: {error.reason}"
        return Fault(FaultSource.ADAPTER, "ADAPTER_LOST", text, "try again: it is being restarted")
