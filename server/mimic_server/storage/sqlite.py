"""SQLite's own ways: how its files are opened, and how a statement costs one hop to a thread."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

import aiosqlite

BUSY_TIMEOUT_SECONDS = 5.0
"""How long a writer waits for one of another process, such as a backup."""

_PRAGMAS = (
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA temp_store = MEMORY",
    "PRAGMA cache_size = -16000",
    "PRAGMA journal_size_limit = 67108864",
)


def connect(path: Path) -> sqlite3.Connection:
    """Opens a file, with no transactions but those that are asked for.

    What is committed is on the disk, even if the power fails (synchronous FULL). NORMAL would save a few
    percent of the journal's processor time, and lose the last commits with the power.
    """
    connection = sqlite3.connect(
        str(path),
        timeout=BUSY_TIMEOUT_SECONDS,
        isolation_level=None,
        cached_statements=256,
        check_same_thread=False,
    )
    try:
        _write_ahead(connection)
        for pragma in _PRAGMAS:
            connection.execute(pragma)
    except BaseException:
        connection.close()
        raise
    return connection


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Switches the file to write-ahead logging, which it then stays in.

    SQLite does not wait where two connections switch the same file at once, whatever its timeout.
    """
    give_up = time.monotonic() + BUSY_TIMEOUT_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > give_up:
                raise
            time.sleep(0.01)
        else:
            return


def connector(path: Path) -> Any:
    """What SQLAlchemy's engine makes its connections with."""

    def make(*_: Any, **__: Any) -> OneHopConnection:
        connection = OneHopConnection(lambda: connect(path), 64)
        connection._thread.daemon = True  # noqa: SLF001 - as SQLAlchemy does with those that it makes
        return connection

    return make


class OneHopConnection(aiosqlite.Connection):
    """A connection whose cursors go to its thread once a statement.

    aiosqlite's own go there four times: to be made, to run, to fetch and to be closed; that is most of what
    a small statement costs.
    """

    def cursor(self) -> Any:
        """A cursor that is not there yet."""
        return OneHopCursor(self)

    async def run(self, sql: str) -> None:
        """Runs a statement that has no parameters and no result."""
        await self.visit(self._conn.execute, sql)

    async def visit(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Calls a function in the connection's thread."""
        await self._execute(function, *arguments)  # type: ignore[no-untyped-call]


class OneHopCursor:
    """What SQLAlchemy asks of a cursor, answered from what one visit to the thread brought back."""

    def __init__(self, connection: OneHopConnection) -> None:
        self._connection = connection
        self._rows: Sequence[Any] = ()
        self.description: Any = None
        self.rowcount = -1
        self.lastrowid: int | None = None
        self.arraysize = 1

    async def __aenter__(self) -> Self:
        return self

    async def execute(self, sql: str, parameters: Sequence[Any] = ()) -> Self:
        await self._connection.visit(self._run, sql, parameters)
        return self

    async def executemany(self, sql: str, parameters: Sequence[Sequence[Any]]) -> Self:
        await self._connection.visit(self._run_many, sql, parameters)
        return self

    async def fetchall(self) -> Sequence[Any]:
        return self._rows

    async def close(self) -> None:
        """Nothing: it was closed with its statement."""

    def _run(self, sql: str, parameters: Sequence[Any]) -> None:
        self._keep(self._connection._conn.execute(sql, parameters))  # noqa: SLF001

    def _run_many(self, sql: str, parameters: Sequence[Sequence[Any]]) -> None:
        self._keep(self._connection._conn.executemany(sql, parameters))  # noqa: SLF001

    def _keep(self, cursor: sqlite3.Cursor) -> None:
        self.description = cursor.description
        self._rows = cursor.fetchall() if cursor.description else ()
        self.rowcount = cursor.rowcount
        self.lastrowid = cursor.lastrowid
        cursor.close()
