"""The API for commands that make several calls: stubs that carry the key, and specs as requests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import grpc
from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message

from mimic_server.cli.client import CHANNEL_OPTIONS, Target
from mimic_server.cli.descriptors import services
from mimic_server.cli.errors import raise_for
from mimic_server.domain.specs import Spec

M = TypeVar("M", bound=Message)


class Remote:
    """A server's API. Every error ends the command with one line.

    Attributes:
        data_directory: Where the server keeps its data. None: it is another process's affair.
    """

    def __init__(self, target: Target, channel: grpc.aio.Channel) -> None:
        self.target = target
        self.data_directory: Path | None = None
        self._channel = channel
        self._methods = {method.input_type.full_name: method for s in services() for method in s.methods}

    async def call(self, request: Message, answer_type: type[M]) -> M:
        """Makes the call that takes a request of this type.

        Raises:
            CommandError: The call fails.
        """
        call: grpc.aio.UnaryUnaryMultiCallable[Message, M] = self._channel.unary_unary(
            self._path(request),
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=answer_type.FromString,
        )
        try:
            answer: M = await call(request, metadata=self.target.metadata)
        except grpc.RpcError as error:
            raise_for(error, self.target.address)
        return answer

    async def stream(self, request: Message, answer_type: type[M]) -> AsyncIterator[M]:
        """Makes the streaming call that takes a request of this type.

        Raises:
            CommandError: The call fails.
        """
        call: grpc.aio.UnaryStreamMultiCallable[Message, M] = self._channel.unary_stream(
            self._path(request),
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=answer_type.FromString,
        )
        try:
            async for answer in call(request, metadata=self.target.metadata):
                yield answer
        except grpc.RpcError as error:
            raise_for(error, self.target.address)

    def _path(self, request: Message) -> str:
        method = self._methods[request.DESCRIPTOR.full_name]
        return f"/{method.containing_service.full_name}/{method.name}"


@asynccontextmanager
async def reach(target: Target) -> AsyncIterator[Remote]:
    """The API of a server."""
    async with grpc.aio.insecure_channel(target.address, options=CHANNEL_OPTIONS) as channel:
        yield Remote(target, channel)


def as_message(spec: Spec, message_type: type[M]) -> M:
    """A spec as the message of the same fields."""
    data = spec.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude_none=True)
    return ParseDict(_with_enums(data, message_type.DESCRIPTOR), message_type(), ignore_unknown_fields=False)


def _with_enums(data: dict[str, Any], descriptor: Any) -> dict[str, Any]:
    """The wire's names of enum values for the domain's."""
    fields = descriptor.fields_by_name
    for name, value in data.items():
        field = fields.get(name)
        if field is None:
            continue
        if field.enum_type is not None:
            prefix = field.enum_type.values_by_number[0].name.removesuffix("UNSPECIFIED")
            data[name] = f"{prefix}{value.upper()}"
        elif isinstance(value, dict) and not field.message_type.full_name.startswith("google.protobuf."):
            data[name] = _with_enums(value, field.message_type)
    return data
