"""Writes into a directory without end, and says what was acknowledged, until it is killed or cannot write."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sys
from dataclasses import replace
from pathlib import Path

from mimic_server.domain.errors import UnavailableError
from mimic_server.domain.ids import TeamId
from mimic_server.domain.messages import ReceiptStatus, Text
from mimic_server.domain.ports import JournalEntry
from mimic_server.domain.sessions import Session
from mimic_server.storage import SqlStorage

from tests.server.storage.make import World, message

SESSIONS = 20


def say(*words: object) -> None:
    """One line, in one write: a killed process leaves no half of it."""
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


async def write(world: World, session: Session) -> None:
    for seq in range(1, 1_000_000):
        said = message(session, seq, parts=(Text("x" * 500),))
        await world.storage.journal.write(
            JournalEntry(appended=[said], session=replace(session, message_count=seq))
        )
        say("message", session.id.hex, seq)
        sent = replace(said, rev=said.rev + 1, receipt=ReceiptStatus.SENT)
        await world.storage.journal.write(JournalEntry(updated=[sent]))
        say("receipt", session.id.hex, seq)


async def add(world: World) -> None:
    while True:
        persona = world.persona()
        async with world.storage.team(world.team.id) as unit:
            await unit.personas.add(persona)
        say("persona", persona.id.hex, 0)


def limit_files(directory: Path, more: int) -> None:
    """Lets no file of this process grow any further than by so many bytes, as a full disk would."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    largest = max(file.stat().st_size for file in directory.iterdir()) + more
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))


async def main(directory: Path, more: int | None) -> None:
    storage = await SqlStorage.open(f"sqlite:///{directory / 'mimic.db'}")
    world = await World.make(storage)
    say("team", TeamId(world.team.id).hex, 0)
    sessions = [await world.stored_session() for _ in range(SESSIONS)]
    if more is not None:
        limit_files(directory, more)
    writers = [*(write(world, session) for session in sessions), add(world)]
    outcomes = await asyncio.gather(*writers, return_exceptions=True)
    for outcome in outcomes:
        say("ended", outcome.reason if isinstance(outcome, UnavailableError) else repr(outcome), 0)
    await storage.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else None))
