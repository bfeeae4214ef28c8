"""go-plugin's own services: the end, the captured output, and a broker that nobody needs.

hashicorp/go-plugin, commit dd3617a: grpc_controller.go, grpc_stdio.go, grpc_broker.go.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

from grpc import (
    stream_stream_rpc_method_handler,
    unary_stream_rpc_method_handler,
    unary_unary_rpc_method_handler,
)
from grpc.aio import EOF

from mimic_plugin_sdk import _stdout

SERVICE = "plugin"
"""The name whose health a go-plugin host asks."""
CONTROLLER = "plugin.GRPCController"
STDIO = "plugin.GRPCStdio"
BROKER = "plugin.GRPCBroker"

# What is printed while nobody reads is in the log already; a slow reader loses pieces rather than memory.
_MOST_PIECES = 1000


class ControllerServicer:
    """GRPCController: lets a host end the process."""

    def __init__(self, shut_down: Callable[[], None]) -> None:
        """Make one.

        Args:
            shut_down: Begins to drain; must return at once.
        """
        self._shut_down = shut_down

    def handlers(self) -> dict[str, Any]:
        """Return the calls by name, as grpc wants them."""
        return {"Shutdown": unary_unary_rpc_method_handler(self.shutdown)}

    async def shutdown(self, request: bytes, context: Any) -> bytes:
        """Shutdown."""
        self._shut_down()
        return b""  # an Empty


class StdioServicer:
    """GRPCStdio: what is printed on standard output, which the log has as well."""

    def handlers(self) -> dict[str, Any]:
        """Return the calls by name, as grpc wants them."""
        return {"StreamStdio": unary_stream_rpc_method_handler(self.stream_stdio)}

    async def stream_stdio(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        """StreamStdio."""
        from mimic.launch.grpc_stdio_pb2 import StdioData  # noqa: PLC0415 - a host of ours never asks

        loop = asyncio.get_running_loop()
        pieces: asyncio.Queue[bytes] = asyncio.Queue(_MOST_PIECES)

        def offer(piece: bytes) -> None:
            if not pieces.full():
                pieces.put_nowait(piece)

        def printed(piece: bytes) -> None:
            loop.call_soon_threadsafe(offer, piece)

        _stdout.listeners.append(printed)
        try:
            while True:
                yield StdioData(channel=StdioData.STDOUT, data=await pieces.get()).SerializeToString()
        finally:
            _stdout.listeners.remove(printed)


class BrokerServicer:
    """GRPCBroker: a stream that stays open and says nothing."""

    def handlers(self) -> dict[str, Any]:
        """Return the calls by name, as grpc wants them."""
        return {"StartStream": stream_stream_rpc_method_handler(self.start_stream)}

    async def start_stream(self, requests: object, context: Any) -> None:
        """StartStream."""
        while await context.read() is not EOF:
            pass
