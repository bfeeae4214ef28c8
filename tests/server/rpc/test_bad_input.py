"""Whatever a request holds, its answer is one that the RPC's comment documents."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import grpc
import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct

from tests.server.rpc.bench import Bench, Refusal, refusal_of
from tests.server.rpc.every_rpc import METHODS, Ids, call, documented, in_order

REQUESTS_OF_EACH = 40
OK = grpc.StatusCode.OK

_ENDS = ("Delete", "Remove", "Revoke")
_WHOLE = (
    *(FieldDescriptor.TYPE_INT32, FieldDescriptor.TYPE_SINT32, FieldDescriptor.TYPE_INT64),
    *(FieldDescriptor.TYPE_UINT32, FieldDescriptor.TYPE_UINT64),
)
_WIDE = (FieldDescriptor.TYPE_INT64, FieldDescriptor.TYPE_UINT64)
_REAL = (FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FLOAT)


class Spoiler:
    """Puts values into requests that their senders should not have."""

    def __init__(self, seed: str, ids: Ids) -> None:
        self._random = random.Random(seed)
        self._ids = list(vars(ids).values())

    def spoil(self, message: Message) -> None:
        """Changes some fields of a request."""
        for _ in range(self._random.randint(1, 3)):
            self._change(message, 0)

    def _change(self, message: Message, depth: int) -> None:
        if isinstance(message, Struct):
            message.update({self._text(): self._json(depth)})
            return
        fields: list[Any] = list(message.DESCRIPTOR.fields)
        if not fields:
            return
        field = self._random.choice(fields)
        if self._random.random() < 0.15:
            message.ClearField(field.name)
        elif field.is_repeated:
            self._change_list(message, field, depth)
        elif field.message_type is not None:
            inner = getattr(message, field.name)
            inner.SetInParent()
            if depth < 6:
                self._change(inner, depth + 1)
        else:
            setattr(message, field.name, self._value(field))

    def _change_list(self, message: Message, field: Any, depth: int) -> None:
        items = getattr(message, field.name)
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            return
        if field.message_type is None:
            items.extend(self._value(field) for _ in range(self._random.choice((1, 1, 2, 30))))
        elif items and self._random.random() < 0.5:
            self._change(self._random.choice(items), depth + 1)
        elif depth < 6:
            self._change(items.add(), depth + 1)

    def _value(self, field: Any) -> Any:
        if field.type in _WHOLE:
            most = 2**63 - 1 if field.type in _WIDE else 2**31 - 1
            return self._random.choice((-1, 0, 1, 2, 51, most, -most - 1))
        if field.type in _REAL:
            return self._random.choice((0.0, -1.0, 0.5, 1e300, math.nan, math.inf, -math.inf))
        if field.type == FieldDescriptor.TYPE_BOOL:
            return self._random.random() < 0.5
        if field.type == FieldDescriptor.TYPE_ENUM:
            return self._random.choice((0, 1, 2, 3, 99, -1, 2**31 - 1))
        if field.type == FieldDescriptor.TYPE_BYTES:
            return self._random.choice((b"", b"\0\xff", b"x" * (2**20 + 1)))
        return self._text()

    def _text(self) -> str:
        texts: Sequence[str] = (
            "",
            " ",
            "x",
            "a\0b",
            "ü" * 201,
            "x" * 100_001,
            "\U0001f600\u202e\ufffd",
            "not-a-uuid",
            str(uuid4()),
            "local",
            "[stored]",
            "(((",
            "def evaluate(t):\n  return 1",
            "<= 1 and >= 1",
            "id",
            "name",
            "typing_style.emoji",
            "-1",
            "9" * 400,
            *self._ids,
        )
        return self._random.choice(texts)

    def _json(self, depth: int) -> Any:
        simple = (None, True, 1.5, 2.0**60, math.nan, self._text())
        if depth > 3 or self._random.random() < 0.6:
            return self._random.choice(simple)
        if self._random.random() < 0.5:
            return [self._json(depth + 1)]
        return {self._text(): self._json(depth + 1)}


@pytest.mark.parametrize("service", sorted({name.split("/")[1] for name in METHODS}))
async def test_bad_input_gets_a_documented_answer(bench: Bench, service: str) -> None:
    allowed = documented()
    ids = await Ids.made(bench)
    spoiler = Spoiler(service, ids)
    names = [name for name in METHODS if name.split("/")[1] == service]
    # What ends a thing comes last, so that the others find it.
    names.sort(key=lambda name: name.rpartition("/")[2].startswith(_ENDS))
    seen = set()
    for name in names:
        for _ in range(REQUESTS_OF_EACH):
            request = type(in_order(ids)[name])()
            request.CopyFrom(in_order(ids)[name])
            spoiler.spoil(request)
            refusal = await answered(bench, name, request)
            told = f"{name} {refusal}\n{str(request)[:2000]}"
            assert refusal.code.name in allowed[name], told
            assert bool(refusal.reason) is (refusal.code is not OK), told
            assert bool(refusal.fields) is (refusal.code is grpc.StatusCode.INVALID_ARGUMENT), told
            seen.add(refusal.code)
    assert OK in seen


async def answered(bench: Bench, name: str, request: Message) -> Refusal:
    try:
        await call(bench.admin.channel, name, request, timeout=20)
    except grpc.aio.AioRpcError as error:
        return refusal_of(error)
    return Refusal()
