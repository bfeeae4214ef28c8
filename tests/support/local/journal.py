"""A journal that keeps what is written, and can refuse or hold back."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from mimic_server.domain.errors import UnavailableError
from mimic_server.domain.messages import Message
from mimic_server.domain.ports import JournalEntry
from mimic_server.domain.sessions import Session


class LocalJournal:
    """Implements `Journal` in memory, in order."""

    def __init__(self) -> None:
        self.entries: list[JournalEntry] = []
        self.refuse = False
        self.gate = asyncio.Event()
        self.gate.set()

    async def write(self, entry: JournalEntry) -> None:
        """Keeps the entry; waits while the gate is closed."""
        if self.refuse:
            raise UnavailableError("DATABASE_FULL", "the disk is full", timedelta(seconds=1))
        self.entries.append(entry)
        await self.gate.wait()

    @property
    def messages(self) -> Sequence[Message]:
        """The messages as they are now, in order of seq."""
        rows: dict[int, Message] = {}
        for entry in self.entries:
            for message in (*entry.appended, *entry.updated):
                rows[message.seq] = message
        return [rows[seq] for seq in sorted(rows)]

    @property
    def session(self) -> Session:
        """The session as it was last written."""
        return next(e.session for e in reversed(self.entries) if e.session is not None)
