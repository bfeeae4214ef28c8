"""What a database's own errors mean to a caller."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from sqlalchemy.exc import DBAPIError
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
    sqlite3.SQLITE_NOTADB: (
        "DATABASE_DAMAGED",
        "The file of the server's database is none: name another file",
    ),
}

_POSTGRES = {
    "08": ("DATABASE_UNREACHABLE", "The connection to the server's database broke: see that it runs"),
    "25006": ("DATABASE_READ_ONLY", "The server's database takes no writes: name the primary, not a copy"),
    "28": (
        "DATABASE_REFUSES",
        "The server's database refuses its user: check the address's name and password",
    ),
    "3D": ("DATABASE_GONE", "The server's database does not exist: create it, or correct its address"),
    "40": ("DATABASE_BUSY", "The server's database undid what ran into someone else's change"),
    "53": ("DATABASE_FULL", "The server's database is out of disk, memory or connections: give it more"),
    "57P": ("DATABASE_UNREACHABLE", "The server's database is stopping or starting: see that it runs"),
    "58": (
        "DATABASE_UNWRITABLE",
        "The server's database cannot use its disk: see that it has room and is sound",
    ),
}
"""By what an SQLSTATE begins with."""


def unavailable(error: BaseException) -> UnavailableError | None:
    """The error as callers see it. Returns None if the database is not to blame for it."""
    if isinstance(error, PoolTimeoutError):
        return busy()
    cause = error.orig if isinstance(error, DBAPIError) else error
    while cause is not None:
        if isinstance(cause, sqlite3.Error):
            return _of_sqlite(cause)
        state = getattr(cause, "sqlstate", None)
        if isinstance(state, str):
            return _of_postgres(state)
        if isinstance(cause, OSError) or (isinstance(error, DBAPIError) and error.connection_invalidated):
            return UnavailableError(
                "DATABASE_UNREACHABLE",
                "The server's database cannot be reached: see that it runs and that its address is right",
                RETRY_AFTER,
            )
        cause = cause.__cause__
    return None


def _of_sqlite(error: sqlite3.Error) -> UnavailableError | None:
    code = getattr(error, "sqlite_errorcode", None)
    known = _SQLITE.get(code & 0xFF) if code is not None else None
    return UnavailableError(*known, RETRY_AFTER) if known else None


def _of_postgres(state: str) -> UnavailableError | None:
    known = next((what for start, what in _POSTGRES.items() if state.startswith(start)), None)
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
    except Exception as error:
        known = unavailable(error)
        if known is None:
            raise
        raise known from error
