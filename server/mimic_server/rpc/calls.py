"""What happens around every call: credential, role, request id, errors, one line of log."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar
from uuid import uuid4

import grpc
import structlog
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from mimic_server.domain.errors import (
    ExhaustedError,
    InvalidInputError,
    MimicError,
    PermissionDeniedError,
    UnauthenticatedError,
)
from mimic_server.domain.teams import Principal
from mimic_server.rpc.errors import DETAILS_KEY, Failure, defect, failure_of
from mimic_server.rpc.roles import ACCESS, Access
from mimic_server.rpc.state import ServerState, going_down
from mimic_server.rpc.texts import refuse_nul
from mimic_server.services.credentials import Credentials

T = TypeVar("T")

Context = grpc.aio.ServicerContext[Any, Any]
"""What gRPC hands to a servicer's method."""

REQUEST_ID_KEY = "x-request-id"
"""Metadata: a caller's own id of a call, or else ours; told back at its end."""

API_KEY_KEY = "x-api-key"
"""Metadata: an API key."""

AUTHORIZATION_KEY = "authorization"
"""Metadata: a bearer token."""

_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")
_RETRY_AFTER = timedelta(seconds=1)

_caller: ContextVar[Principal] = ContextVar("caller")

log = structlog.get_logger("mimic.rpc")


def caller() -> Principal:
    """Who the call under way comes from."""
    return _caller.get()


@asynccontextmanager
async def closing(items: AsyncIterator[T]) -> AsyncIterator[AsyncIterator[T]]:
    """Items of a stream, which is closed at once when its reader goes away."""
    try:
        yield items
    finally:
        if isinstance(items, AsyncGenerator):
            await items.aclose()


@dataclass(frozen=True, slots=True)
class _Method:
    name: str
    """As gRPC has it: `/mimic.v1.AgentService/GetAgent`."""
    access: Access
    streams: bool
    request_type: type[Message]

    def request(self, raw: bytes) -> Message:
        """The request. Raises InvalidInputError if it is none, or has texts that cannot be stored."""
        try:
            request = self.request_type.FromString(raw)
        except DecodeError:
            raise InvalidInputError.of(
                "request", f"the bytes are no {self.request_type.DESCRIPTOR.name}"
            ) from None
        # A text with a NUL has it in the bytes too; few requests have one there.
        if b"\0" in raw:
            refuse_nul(request)
        return request


class CallGuard:
    """Stands around every call of mimic.v1.

    Args:
        credentials: Checks API keys.
        state: Says whether the server drains.
        max_calls: Calls at once, streams included.
    """

    def __init__(self, credentials: Credentials, state: ServerState, max_calls: int) -> None:
        self._credentials = credentials
        self._state = state
        self._max_calls = max_calls
        self._calls = 0

    def handlers(
        self, service: ServiceDescriptor, servicer: object
    ) -> dict[str, grpc.RpcMethodHandler[Any, Any]]:
        """The handlers of a service by method, guarded.

        Args:
            service: Its descriptor.
            servicer: Has an async method, or for a stream an async generator, for each RPC.
        """
        access = ACCESS[service.full_name]
        guarded: dict[str, grpc.RpcMethodHandler[Any, Any]] = {}
        for method in service.methods:
            guard = self._guarded(
                _Method(
                    f"/{service.full_name}/{method.name}",
                    access[method.name],
                    method.server_streaming,
                    GetMessageClass(method.input_type),
                ),
                getattr(servicer, method.name),
            )
            kind = (
                grpc.unary_stream_rpc_method_handler
                if method.server_streaming
                else grpc.unary_unary_rpc_method_handler
            )
            # Requests come as bytes: they are read only once it is known who sends them.
            serializer = GetMessageClass(method.output_type).SerializeToString
            guarded[method.name] = kind(guard, request_deserializer=None, response_serializer=serializer)
        return guarded

    def _guarded(self, method: _Method, serve: Callable[..., Any]) -> Callable[[bytes, Context], Any]:
        async def answer(raw: bytes, context: Context) -> Any:
            call = _Call(method, context)
            self._calls += 1
            try:
                call.principal = await self._admitted(call)
                _caller.set(call.principal)
                response = await self._served(method, serve, method.request(raw), context)
            except MimicError as error:
                failure = failure_of(error)
            except asyncio.CancelledError:
                if not (method.streams and self._state.streams_ended):
                    call.log("CANCELLED" if call.has_time_left() else "DEADLINE_EXCEEDED")
                    raise
                failure = failure_of(going_down())
            except Exception:
                log.exception("rpc_defect", method=method.name)
                failure = defect(call.request_id)
            else:
                call.log("OK")
                return response
            finally:
                self._calls -= 1
            call.log(failure.code.name)
            return await call.fail(failure)

        return answer

    async def _admitted(self, call: _Call) -> Principal:
        """Who a call comes from. Raises MimicError if it may not be made."""
        self._state.check(reads=call.method.access.reads)
        if self._calls > self._max_calls:
            raise ExhaustedError(
                "TOO_MANY_CALLS",
                f"the server answers {self._max_calls:,} calls at once, no more",
                _RETRY_AFTER,
            )
        principal = await self._principal(call.metadata)
        needed = call.method.access.role
        if principal.role < needed:
            raise PermissionDeniedError(
                "ROLE_TOO_LOW",
                f"this takes the role {needed.name}; the credential's is {principal.role.name}",
            )
        return principal

    async def _principal(self, metadata: Mapping[str, str]) -> Principal:
        key = metadata.get(API_KEY_KEY)
        if key:
            return await self._credentials.of_api_key(key)
        if metadata.get(AUTHORIZATION_KEY):
            raise UnauthenticatedError(
                "BEARER_NOT_TAKEN", f"this server takes no bearer tokens: send an API key as {API_KEY_KEY}"
            )
        raise UnauthenticatedError("NO_CREDENTIAL", f"send an API key in the metadata, as {API_KEY_KEY}")

    async def _served(
        self, method: _Method, serve: Callable[..., Any], request: Message, context: Context
    ) -> Any:
        if not method.streams:
            return await serve(request, context)
        with self._state.streaming():
            async with closing(serve(request, context)) as responses:
                async for response in responses:
                    await context.write(response)
        return None


class _Call:
    """One call under way."""

    __slots__ = ("_context", "_started", "metadata", "method", "principal", "request_id")

    def __init__(self, method: _Method, context: Context) -> None:
        self.method = method
        self._context = context
        self._started = time.perf_counter()
        self.metadata = {
            key: value for key, value in context.invocation_metadata() or () if isinstance(value, str)
        }
        self.principal: Principal | None = None
        given = self.metadata.get(REQUEST_ID_KEY, "")
        self.request_id = given if _REQUEST_ID.fullmatch(given) else uuid4().hex
        structlog.contextvars.bind_contextvars(request_id=self.request_id)
        context.set_trailing_metadata(((REQUEST_ID_KEY, self.request_id),))

    def has_time_left(self) -> bool:
        """Whether the caller's deadline, if it set one, is still to come."""
        left = self._context.time_remaining()
        return left is None or left > 0

    def log(self, status: str) -> None:
        """Writes the call's line."""
        log.info(
            "rpc",
            method=self.method.name,
            status=status,
            ms=round((time.perf_counter() - self._started) * 1000, 3),
            team=str(self.principal.team_id) if self.principal else None,
            subject=self.principal.subject if self.principal else None,
            request_id=self.request_id,
        )

    async def fail(self, failure: Failure) -> None:
        """Ends the call. Always raises."""
        trailing = ((REQUEST_ID_KEY, self.request_id), (DETAILS_KEY, failure.details))
        await self._context.abort(failure.code, failure.message, trailing)
