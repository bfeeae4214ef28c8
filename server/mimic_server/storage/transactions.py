"""Transactions: statements that are stored together or not at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar

from sqlalchemy import Connection, CursorResult, Executable
from sqlalchemy.ext.asyncio import AsyncConnection

from mimic_server.storage.database import Database
from mimic_server.storage.errors import translated

T = TypeVar("T")

_NOTHING: Mapping[str, Any] = {}


class Transaction:
    """One transaction: connects with its first statement, and becomes a writer with its first write."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._connection: AsyncConnection | None = None
        self._locked = False

    async def read(
        self, statement: Executable, parameters: Mapping[str, Any] = _NOTHING
    ) -> CursorResult[Any]:
        """Runs a query. Raises UnavailableError."""
        connection = self._connection or await self._connect()
        with translated():
            return await connection.execute(statement, parameters)

    async def write(
        self, statement: Executable, parameters: Mapping[str, Any] = _NOTHING
    ) -> CursorResult[Any]:
        """Runs a statement that writes.

        Raises:
            UnavailableError: The database cannot be written.
            sqlalchemy.exc.IntegrityError: A constraint refuses the row.
        """
        connection = await self._begin()
        with translated():
            return await connection.execute(statement, parameters)

    async def run(self, function: Callable[[Connection], T]) -> T:
        """Runs something that writes and that knows no asyncio. Raises UnavailableError."""
        connection = await self._begin()
        with translated():
            return await connection.run_sync(function)

    async def _begin(self) -> AsyncConnection:
        connection = self._connection or await self._connect()
        if not self._locked:
            await self.database.lock()
            self._locked = True
            await self.database.begin(connection)
        return connection

    async def _connect(self) -> AsyncConnection:
        self._connection = await self.database.connect()
        return self._connection

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._connection is not None:
            # Shielded: a caller that is cancelled now must not leave the database locked.
            await self.database.finishing(self._end(self._connection, commit=error is None))

    async def _end(self, connection: AsyncConnection, *, commit: bool) -> None:
        try:
            if self._locked:
                if commit:
                    await self.database.commit(connection)
                else:
                    await self.database.roll_back(connection)
        finally:
            try:
                await connection.close()
            finally:
                if self._locked:
                    self._locked = False
                    self.database.unlock()
