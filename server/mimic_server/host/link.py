"""The gRPC channels to one running adapter, and the conversations over them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias, TypeVar

import grpc
import grpc.aio
from google.protobuf.empty_pb2 import Empty
from grpc_health.v1 import health_pb2, health_pb2_grpc
from mimic.adapter.v1 import adapter_pb2, adapter_pb2_grpc
from mimic.launch import grpc_controller_pb2, grpc_controller_pb2_grpc, grpc_stdio_pb2, grpc_stdio_pb2_grpc

from mimic_server.domain.adapters import Manifest
from mimic_server.host.convert import read_manifest
from mimic_server.host.log_book import LineFeed, LogBook
from mimic_server.host.pace import Pace
from mimic_server.host.pipe import BYTES_PER_SECOND
from mimic_server.host.refusals import LinkLost, Refused, refusal_of
from mimic_server.host.settings import Attached, Limits

T = TypeVar("T")

ConverseCall: TypeAlias = "grpc.aio.StreamStreamCall[bytes, bytes]"

_CONVERSE = "/mimic.adapter.v1.AdapterService/Converse"
_SERVICE = "plugin"
# Servers may limit a connection to 100 streams, which RFC 9113 (6.5.2) names as the least; beyond its limit
# gRPC queues calls without a word.
_STREAMS_PER_CHANNEL = 90
_OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_http_proxy", 0),
    ("grpc.enable_retries", 0),
    ("grpc.service_config_disable_resolution", 1),
)


def sender(call: ConverseCall) -> Callable[[bytes], Awaitable[None]]:
    """What writes into a call without touching its status; to be used after `wait_for_connection`.

    The call's own `write` (grpcio 1.85, aio/_call.py) overwrites the status of a peer that ended the call
    just then with INTERNAL: whose fault it was would be lost. This raises grpc.aio.InternalError instead.
    """
    inner: Any = call
    send: Callable[[bytes], Awaitable[None]] = inner._cython_call.send_serialized_message  # noqa: SLF001
    return send


class _Lane:
    """A channel that conversations share."""

    __slots__ = ("channel", "converse", "streams")

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.channel = channel
        # Bytes, not messages: gRPC would log a frame that cannot be parsed, and read it as None.
        self.converse: Any = channel.stream_stream(_CONVERSE)
        self.streams = 0


class Link:
    """The way to one running adapter, until it is lost.

    Calls about the adapter go over a channel of their own, so that conversations never hold them up.

    Args:
        target: Its address, as grpc takes it.
        attached: How it is attached. None: the host launched it.
        limits: The largest frame.
    """

    def __init__(self, target: str, attached: Attached | None, limits: Limits) -> None:
        self._target = target
        self._attached = attached
        self._limits = limits
        self._control = self._channel()
        self.adapter: Any = adapter_pb2_grpc.AdapterServiceStub(self._control)
        self._health: Any = health_pb2_grpc.HealthStub(self._control)
        self._lanes: list[_Lane] = []
        self._held: dict[object, tuple[_Lane, Callable[[str], None]]] = {}
        self._slots: asyncio.Semaphore | None = None
        self.lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        """Why it is lost, once it is."""

    async def ask(self, call: Awaitable[T]) -> T:
        """Awaits a call over the link.

        Raises:
            Refused: The adapter answered with a status.
            LinkLost: Not the adapter answered, but the way to it broke.
        """
        try:
            return await call
        except grpc.aio.AioRpcError as error:
            refusal = refusal_of(error)
            if refusal.is_loss:
                raise LinkLost(refusal.message) from None
            raise Refused(refusal) from None
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if self.lost.done() and (task is None or not task.cancelling()):
                # The link was closed, which cancels its calls, and not the task that waits.
                raise LinkLost(self.lost.result()) from None
            raise

    async def unwell(self, seconds: float) -> str:
        """Asks whether the adapter serves. Returns "" if it does, else what is wrong."""
        request = health_pb2.HealthCheckRequest(service=_SERVICE)
        try:
            answer = await self.ask(self._health.Check(request, timeout=seconds))
        except Refused as error:
            if error.refusal.code is grpc.StatusCode.DEADLINE_EXCEEDED:
                return f"it did not answer a health check within {seconds:g} s"
            return f"it answered a health check with {error.refusal.code.name}: {error}"
        except LinkLost as error:
            return f"it cannot be reached: {error}"
        serves = answer.status == health_pb2.HealthCheckResponse.SERVING
        return "" if serves else "it says that it does not serve"

    async def manifest(self, seconds: float) -> Manifest:
        """Asks who it is. Raises Refused, LinkLost."""
        request = adapter_pb2.GetManifestRequest()
        answer = await self.ask(self.adapter.GetManifest(request, timeout=seconds))
        return read_manifest(answer.manifest)

    async def shut_down(self, seconds: float) -> None:
        """Asks it to end. An adapter that cannot answer is not an error."""
        stub: Any = grpc_controller_pb2_grpc.GRPCControllerStub(self._control)
        with contextlib.suppress(Refused, LinkLost):
            await self.ask(stub.Shutdown(grpc_controller_pb2.Empty(), timeout=seconds))

    async def read_stdio(self, book: LogBook) -> None:
        """Logs what an adapter prints after the handshake, where it offers that (Go adapters do)."""
        stub: Any = grpc_stdio_pb2_grpc.GRPCStdioStub(self._control)
        feeds = {
            grpc_stdio_pb2.StdioData.STDOUT: LineFeed(book, "stdout"),
            grpc_stdio_pb2.StdioData.STDERR: LineFeed(book, "stderr"),
        }
        pace = Pace(BYTES_PER_SECOND, BYTES_PER_SECOND)
        with contextlib.suppress(grpc.aio.AioRpcError):
            async for piece in stub.StreamStdio(Empty()):
                if piece.channel in feeds:
                    feeds[piece.channel].feed(piece.data)
                await asyncio.sleep(pace.spend(len(piece.data)))

    def limit(self, conversations: int) -> None:
        """Sets how many conversations it may hold at once; 0: any number."""
        self._slots = asyncio.Semaphore(conversations) if conversations else None

    async def enter(self) -> None:
        """Waits until there is room for a conversation, in the order asked; `converse` follows at once.

        Raises:
            LinkLost: The adapter was lost meanwhile.
        """
        if self._slots is not None:
            await self._slots.acquire()
        if self.lost.done():
            if self._slots is not None:
                self._slots.release()
            raise LinkLost(self.lost.result())

    def converse(self, holder: object, lose: Callable[[str], None]) -> ConverseCall:
        """Begins a conversation's call, after `enter`.

        Args:
            holder: Whose call it is; `release` it at the end.
            lose: Called with the reason when the adapter is lost before that.
        """
        lane = next((one for one in self._lanes if one.streams < _STREAMS_PER_CHANNEL), None)
        if lane is None:
            lane = _Lane(self._channel())
            self._lanes.append(lane)
        lane.streams += 1
        self._held[holder] = (lane, lose)
        call: ConverseCall = lane.converse()
        return call

    def release(self, holder: object) -> None:
        """Says that a conversation's call is over. A second time does nothing."""
        held = self._held.pop(holder, None)
        if held is not None:
            held[0].streams -= 1
            if self._slots is not None:
                self._slots.release()

    @property
    def conversations(self) -> int:
        """How many are held over it."""
        return len(self._held)

    def lose(self, reason: str) -> None:
        """Tells every conversation that the adapter is lost. A second time does nothing."""
        if self.lost.done():
            return
        self.lost.set_result(reason)
        for _, lose in list(self._held.values()):
            lose(reason)

    async def close(self) -> None:
        """Closes the channels; what still runs over them is cancelled."""
        self.lose("the adapter was ended")
        await asyncio.gather(*(lane.channel.close() for lane in self._lanes), self._control.close())

    def _channel(self) -> grpc.aio.Channel:
        options: list[tuple[str, Any]] = [
            *_OPTIONS,
            ("grpc.max_receive_message_length", self._limits.message_bytes),
            ("grpc.max_send_message_length", self._limits.message_bytes),
        ]
        if self._attached is None or self._attached.tls is None:
            return grpc.aio.insecure_channel(self._target, options)
        tls = self._attached.tls
        if tls.server_name:
            options.append(("grpc.ssl_target_name_override", tls.server_name))
        credentials = grpc.ssl_channel_credentials(
            tls.root_certificates, tls.private_key, tls.certificate_chain
        )
        return grpc.aio.secure_channel(self._target, credentials, options)
