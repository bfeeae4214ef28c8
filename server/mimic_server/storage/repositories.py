"""Repositories: the rows of one kind that belong to one team."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cache
from typing import Any, Generic, TypeVar
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Executable,
    Insert,
    and_,
    bindparam,
    delete,
    false,
    select,
    true,
    tuple_,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError

from mimic_server.domain.errors import AlreadyExistsError, ConflictError, NotFoundError
from mimic_server.domain.ports import Listing, Page
from mimic_server.storage.kinds import Kind
from mimic_server.storage.paging import MAX_PAGE_SIZE, decode_token, encode_token, listing_mark
from mimic_server.storage.transactions import Transaction

E = TypeVar("E")

_KEPT = frozenset({"id", "team_id", "request_id", "created_at"})
"""Columns that no change of a row changes."""


class _Statements:
    """The statements of one kind, made once: to make one costs as much as to run it."""

    def __init__(self, kind: Kind[Any]) -> None:
        table = kind.mapping.table
        self.team = table.c.get("team_id", table.c.id)
        """Whose a row is; a team is its own."""
        mine = self.team == bindparam("the_team")
        this = and_(table.c.id == bindparam("the_id"), mine)
        self.all = select(*kind.mapping.columns).where(mine)
        self.get = select(*kind.mapping.columns).where(this)
        self.by_request_id = self.all.where(table.c.request_id == bindparam("the_request_id"))
        self.exists = select(table.c.id).where(this)
        self.remove = delete(table).where(this)
        self.save = (
            update(table)
            .where(this)
            .values({c.name: bindparam(c.name) for c in kind.mapping.written if c.name not in _KEPT})
        )
        self.save_if = (
            self.save.where(table.c[kind.version] == bindparam("the_version")) if kind.version else None
        )
        # PostgreSQL ends a transaction at its first error, and an insert that does nothing is none.
        self.insert: Mapping[str, Insert] = {
            "postgresql": postgresql.insert(table).on_conflict_do_nothing(),
            "sqlite": sqlite.insert(table).on_conflict_do_nothing(),
        }


@cache
def _statements(kind: Kind[Any]) -> _Statements:
    return _Statements(kind)


class SqlRepository(Generic[E]):
    """The `Repository` port for one kind of thing."""

    def __init__(self, transaction: Transaction, team_id: UUID, kind: Kind[E]) -> None:
        self._transaction = transaction
        self._team_id = team_id
        self._kind = kind
        self._statements = _statements(kind)

    async def get(self, key: UUID) -> E:
        found = await self._first(self._statements.get, the_id=key)
        if found is None:
            raise NotFoundError(self._kind.name, key)
        return found

    async def by_request_id(self, request_id: str) -> E | None:
        if not request_id:
            return None
        return await self._first(self._statements.by_request_id, the_request_id=request_id)

    async def add(self, entity: E) -> None:
        values = self._kind.mapping.named(entity)
        if values[self._statements.team.name] != self._team_id:
            raise ValueError(f"a {self._kind.name} of another team cannot be added in the name of this one")
        insert = self._statements.insert[self._transaction.database.dialect.name]
        try:
            added = await self._transaction.write(insert, values)
        except IntegrityError:
            raise NotFoundError(*self._kind.parent(entity)) from None
        if added.rowcount == 0:
            raise AlreadyExistsError(
                f"{self._kind.name.upper().replace(' ', '_')}_ALREADY_EXISTS",
                f"{self._kind.name} {values['id']} exists already, or its request id was used before",
            )

    async def save(self, entity: E, *, if_etag: int | None = None) -> None:
        values = self._kind.mapping.named(entity)
        mine = {"the_team": self._team_id, "the_id": values["id"]}
        changed = {name: value for name, value in values.items() if name not in _KEPT}
        if if_etag is None:
            saved = await self._transaction.write(self._statements.save, changed | mine)
        elif self._statements.save_if is None:
            raise TypeError(f"a {self._kind.name} has no etag")
        else:
            saved = await self._transaction.write(
                self._statements.save_if, changed | mine | {"the_version": if_etag}
            )
        if saved.rowcount == 1:
            return
        if if_etag is None or (await self._transaction.read(self._statements.exists, mine)).first() is None:
            raise NotFoundError(self._kind.name, values["id"])
        raise ConflictError(
            f"{self._kind.name.upper()}_CHANGED",
            f"{self._kind.name} {values['id']} was changed meanwhile: read it again, then repeat the change",
        )

    async def remove(self, key: UUID) -> None:
        mine = {"the_team": self._team_id, "the_id": key}
        if (await self._transaction.write(self._statements.remove, mine)).rowcount == 0:
            raise NotFoundError(self._kind.name, key)

    async def list(self, page: Page, *, oldest_first: bool = False, **equals: Any) -> Listing[E]:
        table = self._kind.mapping.table
        mark = listing_mark(self._kind.name, self._team_id, equals, oldest_first=oldest_first)
        statement = self._statements.all.where(self._narrowed(equals))
        place = tuple_(table.c.created_at, table.c.id)
        if page.token:
            last = tuple_(*decode_token(mark, page.token), types=(table.c.created_at.type, table.c.id.type))
            statement = statement.where(place > last if oldest_first else place < last)
        order = (
            (table.c.created_at, table.c.id)
            if oldest_first
            else (table.c.created_at.desc(), table.c.id.desc())
        )
        size = min(max(page.size, 1), MAX_PAGE_SIZE)
        found = await self._transaction.read(
            statement.order_by(*order).limit(size + 1), {"the_team": self._team_id}
        )
        rows = found.all()
        items = tuple(map(self._kind.mapping.entity, rows[:size]))
        if len(rows) <= size:
            return Listing(items, "")
        end = rows[size - 1]
        return Listing(items, encode_token(mark, end.created_at, end.id))

    async def _first(self, statement: Executable, **parameters: Any) -> E | None:
        found = await self._transaction.read(statement, parameters | {"the_team": self._team_id})
        row = found.first()
        return None if row is None else self._kind.mapping.entity(row)

    def _narrowed(self, equals: Mapping[str, Any]) -> ColumnElement[bool]:
        terms: list[ColumnElement[bool]] = [true()]
        for name, value in equals.items():
            if name not in self._kind.filters:
                raise TypeError(f"{self._kind.name}s cannot be listed by {name}")
            column = self._kind.mapping.table.c[name]
            if isinstance(value, Collection) and not isinstance(value, str):
                terms.append(column.in_(value) if value else false())
            else:
                terms.append(column == value)
        return and_(*terms)
