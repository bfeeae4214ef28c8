"""What a database's own errors mean to a caller."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from mimic_server.domain.errors import UnavailableError

RETRY_AFTER = timedelta(seconds=5)

_SQLITE = {
    sqlite3.SQLITE_FULL: ("DATABASE_FULL", "The disk of the server's database is full: make room on it"),
    sqlite3.SQLITE_BUSY: ("DATABASE_LOCKED", "Another program keeps the server's database locked: end it"),
    sqlite3.SQLITE_LOCKED: ("DATABASE_LOCKED", "Another program keeps the server's database locked: end it"),
    sqlite3.SQLITE_READONLY: (
        "DATABASE_READ_ONLY",
        "The server's database is read-only: give the server the right to write its file and directory",
    ),
    sqlite3.SQLITE_CANTOPEN: (
        "DATABASE_GONE",
        "The file of the server's database cannot be opened: see that its directory is there and writable",
    ),
    sqlite3.SQLITE_IOERR: (
        "DATABASE_UNWRITABLE",
        "The disk of the server's database does not take or give its data: see that it has room and is sound",
    ),
    sqlite3.SQLITE_CORRUPT: (
        "DATABASE_DAMAGED",
        "The file of the server's database is damaged: put a copy of it back from a backup",
    ),
    sqlite3.SQLITE_NOTADB: ("DATABASE_DAMAGED", "The file of the server's database is no SQLite database"),
}


def unavailable(error: BaseException) -> UnavailableError | None:
    """The error as callers see it. Returns None if the database is not to blame for it."""
    cause: BaseException | None = error
    if isinstance(error, PoolTimeoutError):
        return busy()
    if isinstance(error, DBAPIError):
        if isinstance(error, IntegrityError):
            return None
        cause = error.orig
    while cause is not None:
        if isinstance(cause, sqlite3.Error):
            return _of_sqlite(cause)
        if isinstance(cause, OSError):
            return UnavailableError(
                "DATABASE_UNREACHABLE",
                "The server's database cannot be reached: see that it runs and that its address is right",
                RETRY_AFTER,
            )
        cause = cause.__cause__
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return UnavailableError(
            "DATABASE_UNREACHABLE", "The connection to the server's database broke", RETRY_AFTER
        )
    return None


def _of_sqlite(error: sqlite3.Error) -> UnavailableError | None:
    code = getattr(error, "sqlite_errorcode", None)
    known = _SQLITE.get(code & 0xFF) if code is not None else None
    return UnavailableError(*known, RETRY_AFTER) if known else None


def busy() -> UnavailableError:
    """Others keep this process's connections, or its right to write, for too long."""
    return UnavailableError(
        "DATABASE_BUSY", "The server's database has more to do than it keeps up with", RETRY_AFTER
    )


def gone() -> UnavailableError:
    """The file was moved or removed under the server's hands."""
    return UnavailableError(
        "DATABASE_GONE",
        "The file of the server's database was moved or removed: put it back, then restart the server",
        RETRY_AFTER,
    )


@contextmanager
def translated() -> Iterator[None]:
    """Turns the errors of a database that cannot be used into `UnavailableError`."""
    try:
        yield
    except (DBAPIError, PoolTimeoutError, OSError, sqlite3.Error) as error:
        known = unavailable(error)
        if known is None:
            raise
        raise known from error
