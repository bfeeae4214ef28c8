"""The sessions' journal, with group commit."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from mimic_server.domain.errors import ConflictError, MimicError, NotFoundError, UnavailableError
from mimic_server.domain.ports import JournalEntry
from mimic_server.storage.batches import Batches, EncodedEntry
from mimic_server.storage.database import Database
from mimic_server.storage.errors import RETRY_AFTER
from mimic_server.storage.sinks import RowsMissingError, Sink
from mimic_server.storage.tables import sessions
from mimic_server.storage.transactions import Transaction

CROWD = 8
"""Sessions that write at once from which on a transaction waits for more entries."""

CROWD_SECONDS = 0.25
GATHER_SECONDS = 0.003
"""How long it waits."""

_Waiting = tuple[EncodedEntry, asyncio.Future[None]]
"""An entry, and what its writer waits for."""


class _Crowd:
    """How many sessions write at present: those of the last quarter of a second, counted anew each."""

    def __init__(self) -> None:
        self.size = 0
        self._seen: set[UUID] = set()
        self._until = 0.0

    def saw(self, session_ids: set[UUID]) -> None:
        self._seen |= session_ids

    def count(self, now: float) -> None:
        if now >= self._until:
            self.size = len(self._seen) if now < self._until + CROWD_SECONDS else 0
            self._seen.clear()
            self._until = now + CROWD_SECONDS


class GroupCommitJournal:
    """The `Journal` port.

    Entries that come while a transaction is under way share the next one. While many sessions write, a
    transaction also waits a moment for others' entries: a commit costs more than all the rest of an entry.
    A few sessions alone never wait.
    """

    def __init__(self, database: Database, sink: Sink) -> None:
        self._database = database
        self._sink = sink
        self._batches = Batches(database.dialect)
        self._waiting: list[_Waiting] = []
        self._writer: asyncio.Task[None] | None = None
        self._closed = False
        self._crowd = _Crowd()
        self.commits = 0
        """Transactions so far."""

    async def write(self, entry: JournalEntry) -> None:
        if self._closed:
            raise _stopping()
        encoded = self._batches.encode(entry)
        stored: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((encoded, stored))
        self._crowd.saw(encoded.session_ids)
        if self._writer is None:
            self._writer = asyncio.create_task(self._write_waiting(), name="journal")
        await stored

    async def close(self) -> None:
        """Writes what is waiting."""
        self._closed = True
        if self._writer is not None:
            await self._writer
        await self._sink.close()

    async def _write_waiting(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            self._crowd.count(loop.time())
            if len(self._waiting) < self._crowd.size >= CROWD:
                await asyncio.sleep(GATHER_SECONDS)
            group, self._waiting = self._waiting, []
            try:
                await self._write_group(group)
            except BaseException:
                # The event loop is being torn down. No one may wait for ever.
                self._closed = True
                _settle(group + self._waiting, _stopping())
                raise
        self._writer = None

    async def _write_group(self, group: Sequence[_Waiting]) -> None:
        try:
            await self._sink.store(self._batches.batch(entry for entry, _ in group))
        except UnavailableError as error:
            _settle(group, error)
        except Exception as error:  # noqa: BLE001 - whatever it is, the entry that it comes from has to know
            if len(group) > 1:
                for one in group:
                    await self._write_group([one])
            else:
                _settle(group, await self._refusal(group[0][0], error))
        else:
            self.commits += 1
            _settle(group, None)

    async def _refusal(self, entry: EncodedEntry, error: Exception) -> Exception:
        """What the writer of an entry is told that was refused for its own sake."""
        if not isinstance(error, sqlite3.IntegrityError | IntegrityError | RowsMissingError):
            return error
        try:
            async with Transaction(self._database) as transaction:
                rows = await transaction.read(
                    select(sessions.c.id).where(sessions.c.id.in_(entry.session_ids))
                )
                gone = entry.session_ids - set(rows.scalars())
        except MimicError as unreadable:
            return unreadable
        if gone:
            return NotFoundError("session", gone.pop())
        return ConflictError(
            "JOURNAL_CONFLICT",
            f"The journal of session {_one(entry.session_ids)} does not go on where this entry does:"
            " another worker writes it too",
        )


def _stopping() -> UnavailableError:
    return UnavailableError("SERVER_STOPPING", "The server is stopping", RETRY_AFTER)


def _one(ids: set[UUID]) -> UUID | None:
    return next(iter(ids), None)


def _settle(group: Sequence[_Waiting], error: Exception | None) -> None:
    for _, stored in group:
        if stored.done():  # its writer was cancelled
            continue
        if error is None:
            stored.set_result(None)
        else:
            stored.set_exception(error)
