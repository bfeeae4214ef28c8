"""grpc.reflection, v1 and v1alpha: the same messages in two packages. For grpcurl and its kin.

Written by hand, because grpcio-reflection wants the default descriptor pool and is a dependency more.
"""

import importlib
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from google.protobuf import descriptor_pool
from grpc import StatusCode, stream_stream_rpc_method_handler
from grpc.aio import EOF

from mimic_plugin_sdk import _wellknown

SERVICES = ("grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection")


class ReflectionServicer:
    """Answers what services there are, and with which messages."""

    def __init__(self, package: str, services: Sequence[str]) -> None:
        """Make one.

        Args:
            package: "grpc.reflection.v1" or "grpc.reflection.v1alpha".
            services: Full names of the services to list.
        """
        self._package = package
        self._services = services

    def handlers(self) -> dict[str, Any]:
        """Return the calls by name, as grpc wants them."""
        return {"ServerReflectionInfo": stream_stream_rpc_method_handler(self.info)}

    async def info(self, requests: object, context: Any) -> None:
        """ServerReflectionInfo."""
        parse = _wellknown.message(f"{self._package}.ServerReflectionRequest").FromString
        while (data := await context.read()) is not EOF:
            await context.write(self._answer(parse(data)).SerializeToString())

    def _answer(self, request: Any) -> Any:
        answer = _wellknown.message(f"{self._package}.ServerReflectionResponse")(
            valid_host=request.host, original_request=request
        )
        kind = request.WhichOneof("message_request")
        if kind == "list_services":
            for name in self._services:
                answer.list_services_response.service.add(name=name)
            return answer
        try:
            file = _found(kind, request)
        except KeyError:
            answer.error_response.error_code = StatusCode.NOT_FOUND.value[0]
            answer.error_response.error_message = "nothing of that name here"
        else:
            answer.file_descriptor_response.file_descriptor_proto.extend(_with_imports(file))
        return answer


def _found(kind: str, request: Any) -> Any:
    """Return the file descriptor asked for; no message here is extended, so that extensions are not found."""
    for pool in _pools():
        try:
            if kind == "file_by_filename":
                return pool.FindFileByName(request.file_by_filename)
            if kind == "file_containing_symbol":
                return _file_of(pool, request.file_containing_symbol)
        except KeyError:
            continue
    raise KeyError(kind)


def _file_of(pool: Any, symbol: str) -> Any:
    try:
        return pool.FindFileContainingSymbol(symbol)
    except KeyError:
        # upb's pool does not count methods among the symbols.
        return pool.FindMethodByName(symbol).containing_service.file


@cache
def _pools() -> tuple[Any, ...]:
    for module in ("adapter.v1.adapter", "launch.grpc_broker", "launch.grpc_controller", "launch.grpc_stdio"):
        importlib.import_module(f"mimic.{module}_pb2")
    return descriptor_pool.Default(), _wellknown.pool()


def _with_imports(file: Any) -> Iterator[bytes]:
    seen: set[str] = set()
    waiting = [file]
    while waiting:
        one = waiting.pop()
        if one.name not in seen:
            seen.add(one.name)
            waiting.extend(one.dependencies)
            yield one.serialized_pb
