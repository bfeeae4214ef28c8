"""What an entry of the journal costs while many sessions write at once."""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path

from mimic_server.domain.messages import ReceiptStatus, Text, Usage
from mimic_server.domain.ports import JournalEntry
from mimic_server.domain.sessions import Attempt, Session, SessionState
from mimic_server.storage import SqlStorage

from tests.benchmarks.measure import CpuTime, Figure
from tests.server.storage.make import World, at_ms, message, moment

SESSIONS = 200
TURNS = 20
PAUSE_SECONDS = 0.1
"""How long a session does something else between two entries, at most."""

TEXT = (Text("Where is my order 10482? It should have been here on Monday. " * 3),)

Write = Callable[[JournalEntry], Awaitable[None]]


async def measure() -> Sequence[Figure]:
    """The same sessions with the journal and with one that stores nothing: the difference is the cost."""
    with tempfile.TemporaryDirectory() as directory:
        storage = await SqlStorage.open(f"sqlite:///{Path(directory) / 'mimic.db'}")
        world = await World.make(storage)
        sessions = [await world.stored_session() for _ in range(SESSIONS)]
        bare, _ = await _play(sessions, _nothing)
        before = storage.journal.commits
        cpu, waits = await _play(sessions, storage.journal.write)
        shared = len(waits) / (storage.journal.commits - before)
        await storage.close()
    waits.sort()
    detail = (
        f"{shared:.1f} entries a transaction; a write takes {waits[len(waits) // 2] * 1e3:.1f} ms,"
        f" 1 % more than {waits[len(waits) * 99 // 100] * 1e3:.0f} ms; {SESSIONS} sessions"
    )
    each = (cpu - bare) / len(waits) * 1e6
    return [Figure("journal_entry", "us CPU an entry", each, limit=150, detail=detail)]


async def _nothing(entry: JournalEntry) -> None:
    """Stores nothing."""


async def _play(sessions: Sequence[Session], write: Write) -> tuple[float, list[float]]:
    """CPU seconds for all sessions' turns, and the seconds that each write took."""
    waits: list[float] = []
    cpu = CpuTime(own=True)
    await asyncio.gather(
        *(_converse(session, write, waits, number) for number, session in enumerate(sessions))
    )
    return cpu.seconds(), waits


async def _converse(session: Session, write: Write, waits: list[float], number: int) -> None:
    drawn = random.Random(number)
    session = replace(session, state=SessionState.RUNNING, attempts=(Attempt(1, moment(), epoch="e"),))

    async def timed(entry: JournalEntry) -> None:
        await asyncio.sleep(drawn.random() * PAUSE_SECONDS)
        began = time.perf_counter()
        await write(entry)
        waits.append(time.perf_counter() - began)

    for turn in range(1, TURNS + 1):
        said = message(session, 2 * turn - 1, parts=TEXT, rev=3 * turn, usage=Usage(900, 40, 800, 1))
        session = replace(session, rev=said.rev, turns=turn, message_count=said.seq, usage=session.usage)
        await timed(JournalEntry(appended=[said], session=session))
        sent = replace(said, rev=3 * turn + 1, receipt=ReceiptStatus.SENT, sent=at_ms(turn))
        answer = message(session, 2 * turn, parts=TEXT, rev=3 * turn + 2, first_byte=at_ms(turn))
        session = replace(session, rev=answer.rev, message_count=answer.seq)
        await timed(JournalEntry(updated=[sent], appended=[answer], session=session))
