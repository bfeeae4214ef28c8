"""Reads requests: what is set in them as plain values, for the domain's specs to check."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from datetime import UTC
from typing import Any, TypeVar
from uuid import UUID

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import ListValue, Struct, Value
from google.protobuf.timestamp_pb2 import Timestamp

from mimic_server.domain.errors import InvalidInputError, Violation
from mimic_server.domain.ports import Page
from mimic_server.rpc.convert.enums import BY_NAME, Enumeration
from mimic_server.services.patches import Patch

IdT = TypeVar("IdT")
EnumT = TypeVar("EnumT")

MAX_PAGE_SIZE = 1000
MAX_REQUEST_ID_CHARS = 128
MAX_POSITION = 2**31 - 1
MAX_NAME_CHARS = 200
_UUID_CHARS = 36
_EXACT_INTEGERS = 2**53


def uuid(text: str, field: str) -> UUID:
    """An id. Raises InvalidInputError unless it is a UUID in its usual form."""
    if not text:
        raise InvalidInputError.of(field, "is required")
    try:
        # UUID takes braces, prefixes and any hyphens too.
        if len(text) == _UUID_CHARS and text.count("-") == 4:
            return UUID(text)
    except ValueError:
        pass
    raise InvalidInputError.of(field, "is not a UUID such as 0193e4b2-6b1c-7e5a-9d3f-2a4c6e8f0b1d")


def optional_uuid(text: str, field: str) -> UUID | None:
    """An id. Returns None if it is empty. Raises InvalidInputError unless it is a UUID."""
    return uuid(text, field) if text else None


def uuids(texts: Sequence[str], field: str) -> tuple[UUID, ...]:
    """Ids. Raises InvalidInputError for the first that is no UUID, or one that is there twice."""
    found = tuple(uuid(text, f"{field}[{index}]") for index, text in enumerate(texts))
    if len(set(found)) < len(found):
        raise InvalidInputError.of(field, "names one of them twice")
    return found


def page(size: int, token: str, default: int = 50) -> Page:
    """Which part of a listing. Raises InvalidInputError for a bad size."""
    if not 0 <= size <= MAX_PAGE_SIZE:
        raise InvalidInputError.of("page_size", f"is from 0 (for {default}) to {MAX_PAGE_SIZE:,}")
    return Page(size or default, token)


def request_id(text: str) -> str:
    """A caller's idempotency key. Raises InvalidInputError if it is too long."""
    if len(text) > MAX_REQUEST_ID_CHARS:
        raise InvalidInputError.of("request_id", f"has more than {MAX_REQUEST_ID_CHARS} characters")
    return text


def position(number: int, field: str) -> int:
    """A position in a session. Raises InvalidInputError where no session has one."""
    if not 0 <= number <= MAX_POSITION:
        raise InvalidInputError.of(field, "is no position in a session")
    return number


def name(text: str, field: str) -> str:
    """A name that may be empty. Raises InvalidInputError if it is too long."""
    if len(text) > MAX_NAME_CHARS:
        raise InvalidInputError.of(field, f"has more than {MAX_NAME_CHARS} characters")
    return text.strip()


def enum(kind: Enumeration[Any], number: int, field: str) -> Any:
    """A member of the domain's enumeration. Raises InvalidInputError if there is none."""
    member = kind.read(number)
    if member is None:
        raise InvalidInputError.of(field, f"{number} is none of {kind.known}")
    return member


def enums(kind: Enumeration[Any], numbers: Sequence[int], field: str) -> tuple[Any, ...]:
    """Members of the domain's enumeration. Raises InvalidInputError."""
    return tuple(enum(kind, number, f"{field}[{index}]") for index, number in enumerate(numbers))


def etag(text: str) -> int | None:
    """The state that a change is meant for. Returns None if it is not told, -1 if it is no etag of ours."""
    if not text:
        return None
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else -1


def values(message: Message, at: str, *, leave: Collection[str] = ()) -> dict[str, Any]:
    """What is set in a message, by field, as plain values.

    Args:
        message: Of a request.
        at: Its path in the request.
        leave: Fields that are not read: output only, or not part of the spec.

    Raises:
        InvalidInputError: Numbers that are no member of their enumeration, not finite, or no time.
    """
    violations: list[Violation] = []
    found = _message(message, at, leave, violations)
    if violations:
        raise InvalidInputError(violations)
    return found


def patch(message: Message, mask: FieldMask, at: str, *, fixed: Collection[str]) -> Patch:
    """Which fields an update changes to what.

    An empty mask names all fields that are set; a message among them is replaced as a whole.

    Args:
        message: The thing with its new values.
        mask: The request's `update_mask`.
        at: Path of the thing in the request.
        fixed: Fields that an update does not change.

    Raises:
        InvalidInputError: The mask names what is not there or cannot be changed.
    """
    found = values(message, at, leave=fixed)
    tag = etag(getattr(message, "etag", ""))
    if not mask.paths:
        return Patch(tuple(found), found, tag)
    violations = []
    for index, path in enumerate(mask.paths):
        problem = _unfit(message, path, fixed)
        if problem:
            violations.append(Violation(f"update_mask.paths[{index}]", f'"{path}" {problem}'))
    if violations:
        raise InvalidInputError(violations)
    # The longer path last: it changes a part of what the shorter one replaces.
    return Patch(tuple(sorted(set(mask.paths))), found, tag)


def _unfit(message: Message, path: str, fixed: Collection[str]) -> str:
    """What is wrong with a path of a mask. Empty: nothing."""
    fields: Any = message.DESCRIPTOR.fields_by_name
    steps = path.split(".")
    if steps[0] in fixed:
        return "cannot be changed"
    for step in steps:
        field = fields.get(step)
        if field is None:
            return f"is no field of {message.DESCRIPTOR.name}"
        nested = field.message_type
        whole = nested is None or field.is_repeated or nested.full_name in _WHOLE
        fields = {} if whole else nested.fields_by_name
    return ""


def _message(
    message: Message, at: str, leave: Collection[str], violations: list[Violation]
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for field, value in message.ListFields():
        if field.name in leave:
            continue
        path = f"{at}.{field.name}" if at else field.name
        if field.is_repeated:
            found[field.name] = [_value(field, v, f"{path}[{i}]", violations) for i, v in enumerate(value)]
        else:
            found[field.name] = _value(field, value, path, violations)
    return found


def _value(field: FieldDescriptor, value: Any, path: str, violations: list[Violation]) -> Any:
    if isinstance(value, Struct):
        return _struct(value, path, violations)
    if isinstance(value, Timestamp):
        return _time(value, path, violations)
    if isinstance(value, Message):
        return _message(value, path, (), violations)
    if field.enum_type is not None:
        kind = BY_NAME[field.enum_type.full_name]
        member = kind.read(value)
        if member is None:
            violations.append(Violation(path, f"{value} is none of {kind.known}"))
        return member
    if isinstance(value, float) and not math.isfinite(value):
        violations.append(Violation(path, "is not a finite number"))
    return value


def _time(value: Timestamp, path: str, violations: list[Violation]) -> Any:
    try:
        return value.ToDatetime(UTC)
    except (ValueError, OverflowError):
        violations.append(Violation(path, "is not a time from the year 1 to 9999"))
        return None


def _struct(struct: Struct, path: str, violations: list[Violation]) -> dict[str, Any]:
    return {name: _json(value, f"{path}.{name}", violations) for name, value in sorted(struct.fields.items())}


def _json(value: Value, path: str, violations: list[Violation]) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        return _struct(value.struct_value, path, violations)
    if kind == "list_value":
        items: ListValue = value.list_value
        return [_json(item, f"{path}[{index}]", violations) for index, item in enumerate(items.values)]
    if kind == "number_value":
        number = value.number_value
        if not math.isfinite(number):
            violations.append(Violation(path, "is not a finite number"))
        # A Struct has no integers, but what it is written from has.
        return int(number) if number.is_integer() and abs(number) <= _EXACT_INTEGERS else number
    return None if kind in {None, "null_value"} else getattr(value, kind)


_WHOLE = frozenset({"google.protobuf.Struct", "google.protobuf.Timestamp"})
"""Messages that a mask cannot look into."""
