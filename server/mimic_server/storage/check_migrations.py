"""Checks that the migrations make the tables: `python -m mimic_server.storage.check_migrations`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, MetaData, create_engine, text

from mimic_server.storage import schema
from mimic_server.storage.tables import metadata


@contextmanager
def migrated() -> Iterator[Connection]:
    """A new database, in memory, that the migrations have made."""
    with _empty() as connection:
        command.upgrade(schema.configuration(connection), "heads")
        yield connection


@contextmanager
def _empty() -> Iterator[Connection]:
    engine = create_engine("sqlite://")
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


def drift(connection: Connection, tables: MetaData = metadata) -> list[str]:
    """What a database and the tables disagree in, a line each."""
    context = MigrationContext.configure(connection, opts={"compare_type": True})
    found = [_line(change) for change in compare_metadata(context, tables)]
    if connection.dialect.name == "sqlite":
        found += _index_drift(connection, tables)
    return found


def _line(change: Any) -> str:
    kind, *what = change[0] if isinstance(change, list) else change
    return f"{kind}: {', '.join(str(part) for part in what if part is not None)}"


def _index_drift(connection: Connection, tables: MetaData) -> list[str]:
    """Indexes that differ in what Alembic does not compare: the rows that they are for."""
    with _empty() as wanted:
        tables.create_all(wanted)
        made, expected = _indexes(connection), _indexes(wanted)
    return [
        f"index differs: {name}: {made[name]} instead of {sql}"
        for name, sql in expected.items()
        if made.get(name, sql) != sql
    ]


def _indexes(connection: Connection) -> dict[str, str]:
    rows = connection.execute(text("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql > ''"))
    return {row.name: row.sql for row in rows}


def main() -> int:
    """Says what differs. Returns 1 if anything does."""
    with migrated() as connection:
        found = drift(connection)
    for line in found:
        sys.stderr.write(f"{line}\n")
    if found:
        sys.stderr.write(
            "The migrations do not make the tables: draft what is missing with"
            ' `python -m mimic_server.storage.revise "why"`\n'
        )
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
