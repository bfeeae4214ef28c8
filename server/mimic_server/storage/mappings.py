"""Entities of the domain as rows, and back."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any, Generic, TypeVar

from sqlalchemy import Column, Dialect, Table, TypeDecorator
from sqlalchemy.types import TypeEngine

E = TypeVar("E")

Row = tuple[Any, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Embedded:
    """A field that is a dataclass of its own and lies in several columns of its owner's row."""

    type: type
    prefix: str = ""
    """Put before the names of its fields to name their columns."""


class RowMapping(Generic[E]):
    """How a dataclass lies in a table.

    Each field is the column of its name; an embedded one is a column for each of its own fields, all NULL
    where it is None.
    """

    def __init__(
        self,
        entity: type[E],
        table: Table,
        *,
        embedded: Mapping[str, Embedded] | None = None,
        derived: Mapping[str, Callable[[E], Any]] | None = None,
    ) -> None:
        """Maps an entity.

        Args:
            entity: The dataclass.
            table: Its table.
            embedded: Its fields that lie in several columns.
            derived: Columns that are written from the entity and never read back.
        """
        self.table = table
        self._entity: Any = entity
        self._embedded: list[tuple[str, Any, list[str]]] = []
        self._plain = []
        for field in dataclasses.fields(entity):  # type: ignore[arg-type]
            inner = (embedded or {}).get(field.name)
            if inner is None:
                self._plain.append(field.name)
            else:
                names = [inner.prefix + part.name for part in dataclasses.fields(inner.type)]
                self._embedded.append((field.name, inner.type, names))
        self._derived = dict(derived or {})
        stored = [*self._plain, *(name for _, _, names in self._embedded for name in names)]
        self.columns: tuple[Column[Any], ...] = tuple(table.c[name] for name in stored)
        """What is read, in the order that `entity` takes it."""
        self.written = (*self.columns, *(table.c[name] for name in self._derived))
        """What is written, in the order that `values` gives it."""
        self._get_plain = attrgetter(*self._plain)
        self._get_embedded = [
            (
                attrgetter(name),
                attrgetter(*(part.name for part in dataclasses.fields(kind))),
                (None,) * len(names),
            )
            for name, kind, names in self._embedded
        ]

    def values(self, entity: E) -> list[Any]:
        """What an entity's row holds, in the order of `written`, not yet in the database's types."""
        row = list(self._get_plain(entity))
        for get, get_parts, nothing in self._get_embedded:
            inner = get(entity)
            row += nothing if inner is None else get_parts(inner)
        if self._derived:
            row += [derive(entity) for derive in self._derived.values()]
        return row

    def named(self, entity: E) -> dict[str, Any]:
        """What an entity's row holds, by the names of its columns."""
        return dict(zip((column.name for column in self.written), self.values(entity), strict=True))

    def entity(self, row: Sequence[Any]) -> E:
        """The entity of a row that has `columns`."""
        plain = len(self._plain)
        fields = dict(zip(self._plain, row[:plain], strict=True))
        for name, kind, names in self._embedded:
            parts = row[plain : plain + len(names)]
            fields[name] = None if parts[0] is None else kind(*parts)
            plain += len(names)
        return self._entity(**fields)  # type: ignore[no-any-return]


class RowEncoder(Generic[E]):
    """Writes chosen columns of an entity in the database driver's own types, without SQLAlchemy at work."""

    def __init__(self, mapping: RowMapping[E], columns: Iterable[str], dialect: Dialect) -> None:
        by_name = {column.name: at for at, column in enumerate(mapping.written)}
        chosen = [by_name[name] for name in columns]
        self.columns = tuple(mapping.written[at] for at in chosen)
        """The columns, in the order that `encode` gives their values."""
        self._values = mapping.values
        self._choose = _chooser(chosen, len(mapping.written))
        self._processors = [
            (at, processor)
            for at, column in enumerate(self.columns)
            if (processor := _bind_processor(column.type, dialect)) is not None
        ]

    def encode(self, entity: E) -> list[Any]:
        """Values of the columns.

        Raises:
            ValueError: A value cannot be stored.
        """
        row = self._choose(self._values(entity))
        for at, processor in self._processors:
            value = row[at]
            if value is not None:
                row[at] = processor(value)
        return row


def _bind_processor(type_: TypeEngine[Any], dialect: Dialect) -> Callable[[Any], Any] | None:
    """What makes a value one of the driver's. Mimic's own types do all of that themselves."""
    if isinstance(type_, TypeDecorator):
        bind = type_.process_bind_param
        return lambda value: bind(value, dialect)
    return type_.dialect_impl(dialect).bind_processor(dialect)


def _chooser(chosen: list[int], of: int) -> Callable[[list[Any]], list[Any]]:
    if chosen == list(range(of)):
        return lambda row: row
    return lambda row: [row[at] for at in chosen]
