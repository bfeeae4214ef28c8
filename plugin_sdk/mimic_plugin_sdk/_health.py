"""grpc.health.v1.Health (grpc/doc/health-checking.md)."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

from grpc import (
    StatusCode,
    unary_stream_rpc_method_handler,
    unary_unary_rpc_method_handler,
)

from mimic_plugin_sdk._status import abort, refused
from mimic_plugin_sdk._wellknown import message

SERVICE = "grpc.health.v1.Health"

_SERVING = 1
_NOT_SERVING = 2
_SERVICE_UNKNOWN = 3


class HealthServicer:
    """Says that some services serve, until the process drains."""

    def __init__(self, services: Sequence[str]) -> None:
        """Make one.

        Args:
            services: Names that are asked for; the empty name stands for the whole server.
        """
        self._services = ("", *services)
        self._draining = asyncio.Event()

    def handlers(self) -> dict[str, Any]:
        """Return the calls by name, as grpc wants them."""
        return {
            "Check": unary_unary_rpc_method_handler(self.check),
            "Watch": unary_stream_rpc_method_handler(self.watch),
        }

    def drain(self) -> None:
        """Say from now on that nothing serves."""
        self._draining.set()

    async def check(self, request: bytes, context: Any) -> bytes:
        """Check."""
        service = _service_in(request)
        if service not in self._services:
            text = f"no service {service!r} here"
            await abort(context, refused(StatusCode.NOT_FOUND, "SERVICE_UNKNOWN", text))
        return self._answer(service)

    async def watch(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        """Watch. Ends with the call, and at the end of draining with the server."""
        service = _service_in(request)
        yield self._answer(service)
        if service in self._services and not self._draining.is_set():
            await self._draining.wait()
            yield self._answer(service)
        await asyncio.Event().wait()

    def _answer(self, service: str) -> bytes:
        if service not in self._services:
            status = _SERVICE_UNKNOWN
        else:
            status = _NOT_SERVING if self._draining.is_set() else _SERVING
        return message("grpc.health.v1.HealthCheckResponse")(status=status).SerializeToString()  # type: ignore[no-any-return]


def _service_in(request: bytes) -> str:
    return message("grpc.health.v1.HealthCheckRequest").FromString(request).service  # type: ignore[no-any-return]
