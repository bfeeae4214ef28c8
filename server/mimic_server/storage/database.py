"""The connection to a database: its engine, its transactions, and who may write when."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any, Self

from sqlalchemy import URL, Dialect, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from mimic_server.domain.errors import InvalidInputError
from mimic_server.storage.errors import busy, gone, translated
from mimic_server.storage.sqlite import BUSY_TIMEOUT_SECONDS, connector
from mimic_server.storage.types import as_is


def database_url(address: str) -> URL:
    """An address as people write it, with the driver that Mimic uses.

    Raises:
        InvalidInputError: It is no address, or one of another kind of database.
    """
    try:
        url = make_url(address)
    except ArgumentError:
        raise InvalidInputError.of(
            "DATABASE_URL",
            "is not an address such as sqlite:////path/mimic.db or postgresql://user@host/name",
        ) from None
    match url.drivername.partition("+")[0]:
        case "sqlite":
            if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
                raise InvalidInputError.of("DATABASE_URL", "must name a file, as in sqlite:////path/mimic.db")
            return url.set(drivername="sqlite+aiosqlite")
        case "postgresql" | "postgres":
            query = dict(url.query)
            if "sslmode" in query:
                query["ssl"] = query.pop("sslmode")
            return url.set(drivername="postgresql+asyncpg", query=query)
        case other:
            raise InvalidInputError.of(
                "DATABASE_URL", f"names {other}: Mimic speaks to sqlite and postgresql"
            )


class Database:
    """An engine, and the discipline of writing.

    SQLite takes one writer at a time. Those of this process queue up in asyncio, where waiting costs nothing
    and is fair, and begin with BEGIN IMMEDIATE, so that none fails half-way because it cannot become one.
    Before its first write a transaction on SQLite sees each statement's own moment, as READ COMMITTED does
    on PostgreSQL.
    """

    def __init__(self, url: URL, pool_size: int) -> None:
        """Makes the engine, which has not connected yet."""
        self.path = Path(str(url.database)) if url.get_backend_name() == "sqlite" else None
        """The database's file. None: it is not SQLite."""
        options: dict[str, Any] = {"json_serializer": as_is, "json_deserializer": as_is}
        if self.path is not None:
            # SQLAlchemy begins and ends nothing here: `begin`, `commit` and `roll_back` do.
            options |= {
                "connect_args": {"async_creator_fn": connector(self.path)},
                "isolation_level": "AUTOCOMMIT",
                "skip_autocommit_rollback": True,
            }
        else:
            options["pool_pre_ping"] = True
        self.engine: AsyncEngine = create_async_engine(url, pool_size=pool_size, max_overflow=0, **options)
        self._write_lock = asyncio.Lock() if self.path else None
        self._file: tuple[int, int] | None = None

    @classmethod
    def of(cls, address: str, pool_size: int) -> Self:
        """A database at an address as people write it. Raises InvalidInputError."""
        return cls(database_url(address), pool_size)

    @property
    def dialect(self) -> Dialect:
        """SQLAlchemy's dialect."""
        return self.engine.dialect

    async def connect(self) -> AsyncConnection:
        """A connection of the pool. Raises UnavailableError."""
        self.check_file()
        with translated():
            return await self.engine.connect()

    async def begin(self, connection: AsyncConnection) -> None:
        """Begins to write; call `lock` before. Raises UnavailableError."""
        if self.path is not None:
            with translated():
                await (await _driver(connection)).run("BEGIN IMMEDIATE")

    async def commit(self, connection: AsyncConnection) -> None:
        """Stores what was written, or undoes it. Raises UnavailableError."""
        try:
            with translated():
                if self.path is None:
                    await connection.commit()
                else:
                    await (await _driver(connection)).commit()
        except BaseException:
            await self.roll_back(connection)
            raise
        self.check_file()

    async def roll_back(self, connection: AsyncConnection) -> None:
        """Undoes what was written."""
        if connection.invalidated:
            return
        try:
            if self.path is None:
                await connection.rollback()
            else:
                await (await _driver(connection)).rollback()
        except BaseException:
            await connection.invalidate()
            raise

    async def lock(self) -> None:
        """Waits until no one else in this process writes. Raises UnavailableError if that takes too long."""
        lock = self._write_lock
        if lock is None:
            return
        if not lock.locked():
            await lock.acquire()
            return
        try:
            async with asyncio.timeout(BUSY_TIMEOUT_SECONDS):
                await lock.acquire()
        except TimeoutError:
            raise busy() from None

    def unlock(self) -> None:
        """Lets the next writer begin."""
        if self._write_lock is not None:
            self._write_lock.release()

    def remember_file(self) -> None:
        """Takes note of which file the database is, once it exists."""
        self._file = self._identity()

    def check_file(self) -> None:
        """Raises UnavailableError where the file is no longer the one that was opened.

        SQLite goes on writing into a file that was removed, and whatever it acknowledges there is lost.
        """
        if self._file is not None and self._identity() != self._file:
            raise gone()

    def _identity(self) -> tuple[int, int] | None:
        if self.path is None:
            return None
        try:
            found = os.stat(self.path)  # noqa: PTH116 - done for every commit, and several times faster
        except OSError:
            return (0, 0)
        return found.st_dev, found.st_ino

    async def close(self) -> None:
        """Closes all connections."""
        await self.engine.dispose()


async def _driver(connection: AsyncConnection) -> Any:
    return (await connection.get_raw_connection()).driver_connection
