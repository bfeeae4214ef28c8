"""Texts that cannot be stored."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from mimic_server.domain.errors import InvalidInputError, Violation


def refuse_nul(message: Message) -> None:
    """Refuses a request with a NUL in a text: PostgreSQL cannot store one.

    Raises:
        InvalidInputError: One violation for each such text.
    """
    violations = [Violation(path, "has a NUL character") for path in _with_nul(message, "")]
    if violations:
        raise InvalidInputError(violations)


def _with_nul(message: Message, at: str) -> Iterator[str]:
    for field, value in message.ListFields():
        path = f"{at}.{field.name}" if at else field.name
        if field.is_repeated and field.message_type and field.message_type.GetOptions().map_entry:
            for key, item in value.items():
                yield from _in_value(key, f"{path} (a name)")
                yield from _in_value(item, f"{path}.{key}")
        elif field.is_repeated:
            for index, item in enumerate(value):
                yield from _in_value(item, f"{path}[{index}]")
        elif field.type != FieldDescriptor.TYPE_BYTES:
            yield from _in_value(value, path)


def _in_value(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, Message):
        yield from _with_nul(value, path)
    elif isinstance(value, str) and "\0" in value:
        yield path.replace("\0", "\\0")
