"""Where the journal's batches go: one transaction each."""

from __future__ import annotations

import asyncio
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol, Self

from mimic_server.storage.batches import Batch
from mimic_server.storage.database import Database
from mimic_server.storage.errors import translated
from mimic_server.storage.sqlite import connect


class RowsMissingError(Exception):
    """A batch changed fewer rows than it names."""


class Sink(Protocol):
    """Stores a batch in one transaction."""

    async def store(self, batch: Batch) -> None:
        """Stores all of it, or nothing.

        Raises:
            UnavailableError: The database cannot be written.
            RowsMissingError: Something that it changes is not there.
            Exception: Something of it is refused.
        """
        ...

    async def close(self) -> None:
        """Lets go of the database."""
        ...


class SqliteSink:
    """A connection and a thread of its own: a transaction is one hop to the thread and back.

    Each statement stores many rows, because between two statements the thread waits for the interpreter's
    lock, and a busy event loop gives that up only now and then.
    """

    def __init__(
        self, database: Database, thread: ThreadPoolExecutor, connection: sqlite3.Connection
    ) -> None:
        self._database = database
        self._thread = thread
        self._connection = connection

    @classmethod
    async def open(cls, database: Database, path: Path) -> Self:
        """Connects. Raises UnavailableError."""
        thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="journal")
        try:
            with translated():
                connection = await asyncio.get_running_loop().run_in_executor(thread, connect, path)
        except BaseException:
            thread.shutdown()
            raise
        return cls(database, thread, connection)

    async def store(self, batch: Batch) -> None:
        await self._database.lock()
        try:
            with translated():
                await asyncio.get_running_loop().run_in_executor(self._thread, self._store, batch)
        finally:
            self._database.unlock()

    async def close(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, self._connection.close)
        self._thread.shutdown()

    def _store(self, batch: Batch) -> None:
        connection = self._connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            before = connection.total_changes
            for sql, parameters in batch.statements:
                connection.execute(sql, parameters)
            _check(batch, connection.total_changes - before)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            self._database.check_file()
            raise
        self._database.check_file()


class EngineSink:
    """The engine's connections, for a database that takes many writers at once."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def store(self, batch: Batch) -> None:
        rows = 0
        with translated():
            async with self._database.engine.begin() as connection:
                for sql, parameters in batch.statements:
                    rows += (await connection.exec_driver_sql(sql, tuple(parameters))).rowcount
                _check(batch, rows)

    async def close(self) -> None:
        """Nothing: the engine is the database's."""


def _check(batch: Batch, rows: int) -> None:
    if rows != batch.rows:
        raise RowsMissingError
