"""The gRPC server of an adapter process: its services, its signals and its end."""

import asyncio
import logging
import os
import signal
from contextlib import suppress
from typing import Any

from grpc import GenericRpcHandler, ServerCredentials, method_handlers_generic_handler
from grpc.aio import server as grpc_server

from mimic_plugin_sdk import _health, _plugin, _servicer
from mimic_plugin_sdk._adapter import Adapter
from mimic_plugin_sdk._errors import FaultError
from mimic_plugin_sdk._health import HealthServicer
from mimic_plugin_sdk._launch import LaunchError
from mimic_plugin_sdk._log import session_id
from mimic_plugin_sdk._parent import watch_parent
from mimic_plugin_sdk._servicer import AdapterServicer

_logger = logging.getLogger("mimic_plugin_sdk")

# Together less than the 5 s that a host gives.
_SESSIONS_SECONDS = 3.0
_STOP_SECONDS = 1.0
_CALLS_SECONDS = 0.2

_MESSAGE_BYTES = 64 * 1024 * 1024
_KEEPALIVE_MS = 20_000
_PING_INTERVAL_MS = 5_000


class AdapterServer:
    """Serves one adapter until it is drained."""

    def __init__(self, adapter: Adapter[Any]) -> None:
        """Make one; `prepare`, `bind` and `start` it.

        Args:
            adapter: The author's adapter.

        Raises:
            LaunchError: MIMIC_MAX_MESSAGE_BYTES is no number.
        """
        self._adapter = adapter
        self._loop = asyncio.get_running_loop()
        self._servicer = AdapterServicer(adapter)
        self._health = HealthServicer((_plugin.SERVICE, _servicer.SERVICE))
        self._hurried = asyncio.Event()
        self._draining: asyncio.Task[None] | None = None
        self._drained = asyncio.Event()
        self._server = grpc_server(options=_options())
        services = {
            _servicer.SERVICE: self._servicer.handlers(),
            _health.SERVICE: self._health.handlers(),
            _plugin.CONTROLLER: _plugin.ControllerServicer(self.drain).handlers(),
            _plugin.STDIO: _plugin.StdioServicer().handlers(),
            _plugin.BROKER: _plugin.BrokerServicer().handlers(),
        }
        for name, handlers in services.items():
            self._server.add_generic_rpc_handlers((method_handlers_generic_handler(name, handlers),))
        self._server.add_generic_rpc_handlers((_LazyReflection(list(services)),))

    async def prepare(self) -> None:
        """Let the author prepare what all connections share.

        Raises:
            LaunchError: He says that it cannot be.
        """
        try:
            await self._adapter.start()
        except FaultError as error:
            raise LaunchError(str(error)) from None

    def bind(self, address: str, credentials: ServerCredentials | None = None) -> int:
        """Take an address.

        Args:
            address: "host:port", where port 0 takes any, or "unix:" and a path.
            credentials: For TLS. None: plaintext.

        Returns:
            The port; meaningless for a unix socket.

        Raises:
            LaunchError: The address is taken, or not ours.
        """
        try:
            if credentials is None:
                return self._server.add_insecure_port(address)
            return self._server.add_secure_port(address, credentials)
        except RuntimeError as error:
            raise LaunchError(f"cannot listen on {address}: {error}") from None

    async def start(self) -> None:
        """Serve, until SIGTERM or a host's Shutdown drains it."""
        await self._server.start()
        with suppress(NotImplementedError):
            self._loop.add_signal_handler(signal.SIGTERM, self.drain)

    def end_on_interrupt(self) -> None:
        """Drain on SIGINT as well: a person started the process, and no host decides."""
        with suppress(NotImplementedError):
            self._loop.add_signal_handler(signal.SIGINT, self.drain)

    def die_with(self, parent: int) -> None:
        """Drain, without grace, as soon as the process that started this one is gone.

        Args:
            parent: That process's id.
        """

        def gone() -> None:
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._parent_gone)

        watch_parent(parent, gone)

    def _parent_gone(self) -> None:
        _logger.warning("the host is gone; ending")
        self._hurried.set()
        self.drain()

    def drain(self) -> None:
        """Begin to drain; returns at once. Called again, sessions get no more grace."""
        if self._draining is None:
            self._draining = self._loop.create_task(self._drain())
        else:
            self._hurried.set()

    async def wait_until_drained(self) -> None:
        """Wait until `drain` was called and has done its work."""
        await self._drained.wait()

    async def _drain(self) -> None:
        # Called from within a session's call, it would log as that session.
        session_id.set("")
        try:
            self._health.drain()
            await self._servicer.refuse_new(self._hurried, _SESSIONS_SECONDS)
            async with asyncio.timeout(_STOP_SECONDS):
                await self._servicer.take_all_down()
                await self._adapter.stop()
        except TimeoutError:
            _logger.warning("disconnecting and stopping took longer than %s s; ending", _STOP_SECONDS)
        except Exception:
            _logger.exception("stopping failed; ending")
        finally:
            await self._server.stop(_CALLS_SECONDS)
            self._drained.set()

    async def stop(self) -> None:
        """Stop at once, whatever goes on; after draining nothing does."""
        await self._server.stop(None)


class _LazyReflection(GenericRpcHandler):
    """Loads reflection at its first call: it costs start time, and only people ask for it."""

    def __init__(self, services: list[str]) -> None:
        self._services = services
        self._handlers: list[Any] = []

    def service(self, handler_call_details: Any) -> Any:
        if not handler_call_details.method.startswith("/grpc.reflection."):
            return None
        if not self._handlers:
            from mimic_plugin_sdk import _reflection as reflection  # noqa: PLC0415 - see the class

            services = [*self._services, *reflection.SERVICES]
            for name in reflection.SERVICES:
                servicer = reflection.ReflectionServicer(name.rpartition(".")[0], services)
                self._handlers.append(method_handlers_generic_handler(name, servicer.handlers()))
        return next((found for one in self._handlers if (found := one.service(handler_call_details))), None)


def _options() -> list[tuple[str, int]]:
    given = os.environ.get("MIMIC_MAX_MESSAGE_BYTES")
    try:
        most = int(given) if given else _MESSAGE_BYTES
    except ValueError:
        raise LaunchError(f"MIMIC_MAX_MESSAGE_BYTES={given} is no number") from None
    return [
        ("grpc.max_receive_message_length", most),
        ("grpc.max_send_message_length", most),
        # Otherwise two adapters could share a port, and hosts would reach either.
        ("grpc.so_reuseport", 0),
        # An attached host may vanish without a word, and asks the same of us.
        ("grpc.keepalive_time_ms", _KEEPALIVE_MS),
        ("grpc.http2.min_ping_interval_without_data_ms", _PING_INTERVAL_MS),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", _PING_INTERVAL_MS),
        ("grpc.keepalive_permit_without_calls", 1),
    ]
