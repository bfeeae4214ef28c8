"""Column types: one declaration each for SQLite and PostgreSQL."""

from __future__ import annotations

import enum
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter
from sqlalchemy import JSON, DateTime, Dialect, String, TypeDecorator, Uuid
from sqlalchemy.types import TypeEngine

EnumT = TypeVar("EnumT", bound=enum.StrEnum)
T = TypeVar("T")

Id = Uuid
"""Native on PostgreSQL, 32 hexadecimal digits on SQLite."""


class UtcDateTime(TypeDecorator[datetime]):
    """A moment with its time zone, to the microsecond, read back as UTC.

    SQLite has no type for it: there it is text of fixed width in UTC, which sorts as the moments do.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(String() if dialect.name == "sqlite" else DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        if value.tzinfo is not UTC:
            if value.tzinfo is None:
                raise ValueError(f"{value!r} has no time zone")
            value = value.astimezone(UTC)
        return value.isoformat(" ", "microseconds") if dialect.name == "sqlite" else value

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return datetime.fromisoformat(value) if dialect.name == "sqlite" else value.astimezone(UTC)


class Json(TypeDecorator[T], Generic[T]):
    """A value as JSON, written and read by its pydantic adapter. None is NULL."""

    impl = JSON(none_as_null=True)
    cache_ok = True

    def __init__(self, adapter: TypeAdapter[T]) -> None:
        super().__init__()
        self.adapter = adapter

    def process_bind_param(self, value: T | None, dialect: Dialect) -> Any:
        return None if value is None else self.adapter.dump_json(value, by_alias=True).decode()

    def process_result_value(self, value: Any, dialect: Dialect) -> T | None:
        return None if value is None else self.adapter.validate_json(value)


def as_is(value: Any) -> Any:
    """The engine's JSON reader and writer: `Json` has done the work already."""
    return value


class Enumeration(TypeDecorator[EnumT], Generic[EnumT]):
    """A member of an enumeration, by its value."""

    impl = String
    cache_ok = True

    def __init__(self, enumeration: type[EnumT]) -> None:
        super().__init__()
        self.enumeration = enumeration

    def process_bind_param(self, value: EnumT | None, dialect: Dialect) -> Any:
        return None if value is None else value.value

    def process_result_value(self, value: Any, dialect: Dialect) -> EnumT | None:
        return None if value is None else self.enumeration(value)


class RequestId(TypeDecorator[str]):
    """An idempotency key. An empty one is NULL, so that unique constraints let many of them be."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> Any:
        return value or None

    def process_result_value(self, value: Any, dialect: Dialect) -> str:
        return value or ""
