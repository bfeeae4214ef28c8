"""The connection to a database: its engine, its transactions, and who may write when."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from sqlalchemy import Dialect, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from mimic_server.domain.errors import InvalidInputError
from mimic_server.storage.errors import busy, gone, translated
from mimic_server.storage.sqlite import connector
from mimic_server.storage.types import as_is

WAIT_TO_WRITE_SECONDS = 30.0
"""How long a writer waits for others of this process: to remove a much used agent may take seconds."""


def parse_address(address: str) -> Path | str:
    """What an address of a database names: SQLite's file, or PostgreSQL's address as its own tools write it.

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
    match url.get_backend_name():
        case "sqlite":
            if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
                raise InvalidInputError.of("DATABASE_URL", "must name a file, as in sqlite:////path/mimic.db")
            return Path(url.database).absolute()
        case "postgresql" | "postgres":
            return url.set(drivername="postgresql").render_as_string(hide_password=False)
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

    def __init__(self, address: str, pool_size: int) -> None:
        """Makes the engine, which has not connected yet. Raises InvalidInputError."""
        found = parse_address(address)
        self._ends: set[asyncio.Future[None]] = set()
        self.path = found if isinstance(found, Path) else None
        """The database's file. None: it is not SQLite."""
        options: dict[str, Any] = {}
        if isinstance(found, Path):
            # SQLAlchemy begins and ends nothing here: `begin`, `commit` and `roll_back` do.
            options["isolation_level"] = "AUTOCOMMIT"
            options["skip_autocommit_rollback"] = True
            options["connect_args"] = {"async_creator_fn": connector(found)}
        else:
            # The driver reads the address itself, and so takes what PostgreSQL's own tools take.
            options["connect_args"] = {"dsn": found}
            options["pool_pre_ping"] = True
        self.engine: AsyncEngine = create_async_engine(
            "sqlite+aiosqlite:///file" if self.path else "postgresql+asyncpg://",
            pool_size=pool_size,
            max_overflow=0,
            json_serializer=as_is,
            json_deserializer=as_is,
            # They hold people's words and secrets, which must stay out of errors, and so out of logs.
            hide_parameters=True,
            **options,
        )
        self._write_lock = asyncio.Lock() if self.path else None
        self._file: tuple[int, int] | None = None

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
            async with asyncio.timeout(WAIT_TO_WRITE_SECONDS):
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

    async def finishing(self, end: Coroutine[Any, Any, None]) -> None:
        """Sees something through even if the caller is cancelled meanwhile; `close` waits for it."""
        task = asyncio.ensure_future(end)
        self._ends.add(task)
        task.add_done_callback(self._ends.discard)
        await asyncio.shield(task)

    async def close(self) -> None:
        """Closes all connections, once what is being finished is."""
        await asyncio.gather(*self._ends, return_exceptions=True)
        await self.engine.dispose()


async def _driver(connection: AsyncConnection) -> Any:
    return (await connection.get_raw_connection()).driver_connection
