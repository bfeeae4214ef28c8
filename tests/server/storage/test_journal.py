"""The sessions' journal: what was written is there, whole, and costs few transactions."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from mimic_server.domain.errors import ConflictError, NotFoundError, UnavailableError
from mimic_server.domain.evaluations import Judgement, ResultStatus
from mimic_server.domain.faults import Fault, FaultSource
from mimic_server.domain.ids import EvaluationId, MessageId, SessionId, new_uuid
from mimic_server.domain.messages import (
    Choice,
    ChoicesOffered,
    Media,
    MediaKind,
    Message,
    RawPayload,
    ReceiptStatus,
    Stop,
    StopKind,
    Text,
    Usage,
)
from mimic_server.domain.ports import JournalEntry
from mimic_server.domain.sessions import Attempt, Session, SessionState, TerminationReason
from mimic_server.storage import SqlStorage
from mimic_server.storage.batches import MAX_ROWS
from mimic_server.storage.journal import CROWD

from tests.server.storage.make import World, at_ms, message, moment, result


async def stored(world: World, session: Session) -> list[Message]:
    async with world.storage.team(world.team.id) as unit:
        return list(await unit.messages.list(session.id))


async def reread(world: World, session: Session) -> Session:
    async with world.storage.team(world.team.id) as unit:
        return await unit.sessions.get(session.id)


def transactions(storage: SqlStorage) -> int:
    return storage.journal.commits


async def test_an_entry_is_stored_whole(world: World) -> None:
    session = await world.stored_session()
    said = message(
        session,
        1,
        parts=(
            Text("Hallo ☎", "markdown"),
            Media(MediaKind.IMAGE, "image/png", data=b"\x00\xff"),
            ChoicesOffered((Choice("1", "Yes"),)),
        ),
        usage=Usage(1, 2, 3, 4),
        stop=Stop(StopKind.STOP_CONDITION, "is insulted", "it was rude"),
        in_reply_to="m0",
    )
    answer = message(
        session, 2, first_byte=at_ms(5), last_byte=at_ms(6), adapter_seq=2**40, replaces="m1", deleted=True
    )
    now = replace(
        session,
        state=SessionState.RUNNING,
        rev=3,
        attempts=(Attempt(1, moment(), epoch="e"),),
        turns=1,
        message_count=2,
        usage=Usage(1, 2, 3, 4),
        channel="rest",
        model="scripted",
        started_at=moment(),
    )
    payload = RawPayload(session.id, 1, 7, True, "GET / \x01", at_ms(4), "GET /")
    found = result(session, EvaluationId(new_uuid()))
    await world.storage.journal.write(
        JournalEntry(appended=[said, answer], session=now, raw=[payload], results=[found])
    )
    async with world.storage.team(world.team.id) as unit:
        assert list(await unit.messages.list(session.id)) == [said, answer]
        assert await unit.sessions.get(session.id) == now
        assert list(await unit.messages.raw(session.id)) == [payload]
        assert list(await unit.results.list([session.id])) == [found]


async def test_a_message_is_updated(world: World) -> None:
    session = await world.stored_session()
    said = message(session, 1)
    await world.storage.journal.write(JournalEntry(appended=[said, message(session, 2)]))
    changed = replace(
        said,
        rev=9,
        receipt=ReceiptStatus.FAILED,
        sent=at_ms(1),
        delivered=at_ms(2),
        read=at_ms(3),
        adapter_seq=4,
        fault=Fault(FaultSource.CHANNEL, "REFUSED", "no"),
    )
    await world.storage.journal.write(JournalEntry(updated=[changed]))
    async with world.storage.team(world.team.id) as unit:
        assert (await unit.messages.list(session.id))[0] == changed
        assert [m.seq for m in await unit.messages.changed(session.id, after_rev=2)] == [2, 1]
        assert [m.seq for m in await unit.messages.changed(session.id, after_rev=3)] == [1]
        assert [m.seq for m in await unit.messages.changed(session.id, after_rev=0, limit=1)] == [2]
        assert [m.seq for m in await unit.messages.list(session.id, after_seq=1)] == [2]
        assert [m.seq for m in await unit.messages.list(session.id, limit=1)] == [1]


async def test_a_result_replaces_the_earlier_one_of_its_evaluation(world: World) -> None:
    session = await world.stored_session()
    evaluation, other = EvaluationId(new_uuid()), EvaluationId(new_uuid())
    first, kept = result(session, evaluation), result(session, other, rev=10)
    second = result(
        session, evaluation, rev=11, judgement=Judgement(ResultStatus.ERROR, explanation="no model")
    )
    await world.storage.journal.write(JournalEntry(results=[first, kept]))
    await world.storage.journal.write(JournalEntry(results=[second]))
    async with world.storage.team(world.team.id) as unit:
        assert list(await unit.results.list([session.id])) == [kept, second]


async def test_raw_payloads_keep_their_order(world: World) -> None:
    session = await world.stored_session()
    payloads = [RawPayload(session.id, 1, 100 - n, n % 2 == 0, f"p{n}", at_ms(n)) for n in range(70)]
    await world.storage.journal.write(JournalEntry(raw=payloads[:50]))
    await world.storage.journal.write(JournalEntry(raw=payloads[50:]))
    async with world.storage.team(world.team.id) as unit:
        assert list(await unit.messages.raw(session.id)) == payloads
        assert list(await unit.messages.raw(session.id, after=60, limit=5)) == payloads[60:65]


async def test_another_team_reads_nothing(world: World) -> None:
    session = await world.stored_session()
    await world.storage.journal.write(
        JournalEntry(
            appended=[message(session, 1)],
            raw=[RawPayload(session.id, 1, 1, True, "x", at_ms(1))],
            results=[result(session, EvaluationId(new_uuid()))],
        )
    )
    stranger = await World.make(world.storage)
    async with world.storage.team(stranger.team.id) as unit:
        assert not await unit.messages.list(session.id)
        assert not await unit.messages.changed(session.id, after_rev=0)
        assert not await unit.messages.raw(session.id)
        assert not await unit.results.list([session.id])


async def test_a_session_is_saved_in_the_name_of_its_own_team_alone(world: World) -> None:
    session = await world.stored_session()
    stranger = await World.make(world.storage)
    with pytest.raises(ConflictError):
        await world.storage.journal.write(
            JournalEntry(session=replace(session, team_id=stranger.team.id, turns=5))
        )
    assert await reread(world, session) == session


async def test_the_wish_to_end_survives_a_worker_that_does_not_know_of_it(world: World) -> None:
    session = await world.stored_session()
    async with world.storage.team(world.team.id) as unit:
        await unit.sessions.save(replace(session, cancel_requested=True), if_etag=session.rev)
    await world.storage.journal.write(JournalEntry(session=replace(session, rev=2, turns=1)))
    assert await reread(world, session) == replace(session, rev=2, turns=1, cancel_requested=True)


async def test_concurrent_entries_share_transactions(sqlite: SqlStorage, sqlite_world: World) -> None:
    sessions = [await sqlite_world.stored_session() for _ in range(100)]
    before = transactions(sqlite)
    await asyncio.gather(*(sqlite.journal.write(JournalEntry(appended=[message(s, 1)])) for s in sessions))
    assert transactions(sqlite) - before <= 2
    for session in sessions:
        assert len(await stored(sqlite_world, session)) == 1


async def test_two_hundred_sessions_write_at_once(sqlite: SqlStorage, sqlite_world: World) -> None:
    sessions = [await sqlite_world.stored_session() for _ in range(200)]
    turns = 5
    before = transactions(sqlite)

    async def play(session: Session) -> Session:
        for turn in range(1, turns + 1):
            said = message(session, 2 * turn - 1)
            session = replace(session, rev=3 * turn, turns=turn)
            await sqlite.journal.write(JournalEntry(appended=[said], session=session))
            sent = replace(said, rev=3 * turn + 1, receipt=ReceiptStatus.SENT, sent=at_ms(turn))
            await sqlite.journal.write(JournalEntry(updated=[sent], appended=[message(session, 2 * turn)]))
        return session

    async def read() -> None:
        for session in sessions[:50]:
            await stored(sqlite_world, session)

    *played, _ = await asyncio.gather(*map(play, sessions), read())
    assert transactions(sqlite) - before < 200 * turns * 2 / CROWD
    for session in played:
        assert isinstance(session, Session)
        assert await reread(sqlite_world, session) == session
        messages = await stored(sqlite_world, session)
        assert [m.seq for m in messages] == list(range(1, 2 * turns + 1))
        assert all(m.receipt is ReceiptStatus.SENT for m in messages[::2])


async def test_one_session_alone_does_not_wait_for_others(sqlite: SqlStorage, sqlite_world: World) -> None:
    session = await sqlite_world.stored_session()
    before = transactions(sqlite)
    for seq in range(1, 11):
        await sqlite.journal.write(JournalEntry(appended=[message(session, seq)]))
    assert transactions(sqlite) - before == 10
    assert sqlite.journal._crowd.size < CROWD


async def test_of_one_session_the_last_entry_of_a_transaction_stays(world: World) -> None:
    session = await world.stored_session()
    said = message(session, 1)
    entries = [
        JournalEntry(appended=[said], session=replace(session, rev=2)),
        JournalEntry(
            updated=[replace(said, rev=3, receipt=ReceiptStatus.SENT)], session=replace(session, rev=3)
        ),
        JournalEntry(
            updated=[replace(said, rev=4, receipt=ReceiptStatus.READ)], session=replace(session, rev=4)
        ),
    ]
    await asyncio.gather(*map(world.storage.journal.write, entries))
    assert await stored(world, session) == [replace(said, rev=4, receipt=ReceiptStatus.READ)]
    assert (await reread(world, session)).rev == 4


@pytest.mark.parametrize("count", [1, 2, 3, 31, 32, 33, 100, 3 * MAX_ROWS + 7])
async def test_any_number_of_rows_is_written(world: World, count: int) -> None:
    session = await world.stored_session()
    messages = [message(session, seq) for seq in range(1, count + 1)]
    await world.storage.journal.write(JournalEntry(appended=messages))
    changed = [replace(m, rev=m.rev + 1000, receipt=ReceiptStatus.SENT) for m in messages]
    await world.storage.journal.write(JournalEntry(updated=changed))
    assert await stored(world, session) == changed


async def refused(world: World, entry: JournalEntry) -> Exception:
    """What the writer of a refused entry is told, while two neighbours in its transaction are stored."""
    neighbours = [await world.stored_session() for _ in range(2)]
    outcomes: Sequence[BaseException | None] = await asyncio.gather(
        world.storage.journal.write(JournalEntry(appended=[message(neighbours[0], 1)])),
        world.storage.journal.write(entry),
        world.storage.journal.write(JournalEntry(appended=[message(neighbours[1], 1)])),
        return_exceptions=True,
    )
    assert [outcomes[0], outcomes[2]] == [None, None]
    for neighbour in neighbours:
        assert len(await stored(world, neighbour)) == 1
    assert isinstance(outcomes[1], Exception)
    return outcomes[1]


async def test_a_message_that_is_there_already_is_refused_alone(world: World) -> None:
    session = await world.stored_session()
    first = message(session, 1)
    await world.storage.journal.write(JournalEntry(appended=[first]))
    entry = JournalEntry(
        appended=[message(session, 2), replace(first, id=MessageId("other"))], session=replace(session, rev=7)
    )
    assert isinstance(await refused(world, entry), ConflictError)
    assert await stored(world, session) == [first]
    assert await reread(world, session) == session


async def test_an_update_of_what_is_not_there_is_refused_alone(world: World) -> None:
    session = await world.stored_session()
    entry = JournalEntry(appended=[message(session, 1)], updated=[message(session, 2)])
    assert isinstance(await refused(world, entry), ConflictError)
    assert await stored(world, session) == []


async def test_entries_of_a_removed_session_are_refused_alone(world: World) -> None:
    gone = world.session(id=SessionId(new_uuid()))
    for entry in (
        JournalEntry(appended=[message(gone, 1)]),
        JournalEntry(session=gone),
        JournalEntry(updated=[message(gone, 1)]),
        JournalEntry(raw=[RawPayload(gone.id, 1, 1, True, "x", at_ms(1))]),
        JournalEntry(results=[result(gone, EvaluationId(new_uuid()))]),
    ):
        assert isinstance(await refused(world, entry), NotFoundError)


async def test_what_cannot_be_encoded_is_refused_before_it_joins_others(world: World) -> None:
    session = await world.stored_session()
    entry = JournalEntry(appended=[message(session, 1, created_at=moment().replace(tzinfo=None))])
    assert isinstance(await refused(world, entry), ValueError)
    lone_surrogate = JournalEntry(appended=[message(session, 1, parts=(Text("\ud800"),))])
    assert isinstance(await refused(world, lone_surrogate), ValueError)
    too_large = JournalEntry(appended=[message(session, 1, adapter_seq=2**70)])
    assert not isinstance(await refused(world, too_large), UnavailableError)
    assert await stored(world, session) == []


async def test_a_writer_that_is_cancelled_harms_no_other(sqlite: SqlStorage, sqlite_world: World) -> None:
    sessions = [await sqlite_world.stored_session() for _ in range(3)]
    tasks = [
        asyncio.create_task(sqlite.journal.write(JournalEntry(appended=[message(s, 1)]))) for s in sessions
    ]
    await asyncio.sleep(0)
    tasks[1].cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [outcomes[0], outcomes[2]] == [None, None]
    assert isinstance(outcomes[1], asyncio.CancelledError)


async def test_closing_writes_what_is_waiting(url: str) -> None:
    storage = await SqlStorage.open(url)
    world = await World.make(storage)
    session = await world.stored_session()
    writing = asyncio.create_task(storage.journal.write(JournalEntry(appended=[message(session, 1)])))
    await asyncio.sleep(0)
    await storage.close()
    await writing
    with pytest.raises(UnavailableError):
        await storage.journal.write(JournalEntry(appended=[message(session, 2)]))
    again = await SqlStorage.open(url)
    assert len(await stored(replace(world, storage=again), session)) == 1
    await again.close()


async def test_what_is_acknowledged_is_in_the_file(sqlite: SqlStorage, sqlite_world: World) -> None:
    session = await sqlite_world.stored_session()
    await sqlite.journal.write(JournalEntry(appended=[message(session, 1)]))
    assert sqlite._database.path is not None
    other = sqlite3.connect(sqlite._database.path)
    assert other.execute("SELECT count(*) FROM messages").fetchone() == (1,)
    other.close()


async def test_first_answer_latencies(world: World) -> None:
    run = world.run()
    async with world.storage.team(world.team.id) as unit:
        await unit.runs.add(run)
    session = await world.stored_session(run_id=run.id)
    other_run = await world.stored_session()

    def sent(seq: int, turn: int, ms: float, **fields: Any) -> Message:
        return message(session, seq, turn=turn, sent=at_ms(ms), **fields)

    def answered(seq: int, turn: int, ms: float, clock: str = "clock", **fields: Any) -> Message:
        return message(session, seq, turn=turn, first_byte=at_ms(ms, clock), **fields)

    await world.storage.journal.write(
        JournalEntry(
            appended=[
                # An earlier attempt counts for nothing.
                sent(1, 1, 0, attempt=1),
                answered(2, 1, 999, attempt=1),
                # A burst: from its last message to the first byte after that.
                sent(3, 1, 100, attempt=2),
                answered(4, 1, 105, attempt=2),
                sent(5, 1, 110, attempt=2),
                answered(6, 1, 142.5, attempt=2),
                answered(8, 1, 900, attempt=2),
                # A silent turn, and one whose clocks differ.
                sent(9, 2, 200, attempt=2),
                sent(11, 3, 300, attempt=2),
                answered(12, 3, 301, "other", attempt=2),
                # A message that was never sent.
                message(session, 13, turn=4, attempt=2),
                answered(14, 4, 401, attempt=2),
                sent(15, 5, 500, attempt=2),
                answered(16, 5, 500, attempt=2),
            ],
            session=replace(session, attempts=(Attempt(1, moment()), Attempt(2, moment()))),
        )
    )
    alone = [replace(m, session_id=other_run.id) for m in (sent(1, 1, 0), answered(2, 1, 1))]
    await world.storage.journal.write(JournalEntry(appended=alone))
    async with world.storage.team(world.team.id) as unit:
        assert sorted(await unit.first_answer_latencies(run.id)) == [0.0, 32.5]
    stranger = await World.make(world.storage)
    async with world.storage.team(stranger.team.id) as unit:
        assert not await unit.first_answer_latencies(run.id)


async def test_an_end_is_stored(world: World) -> None:
    session = await world.stored_session()
    ended = replace(
        session,
        state=SessionState.FAILED,
        termination=TerminationReason.FAULT,
        termination_detail="it crashed",
        fault=Fault(FaultSource.AGENT, "CRASHED", "it crashed"),
        ended_at=moment(),
        human_control=True,
    )
    await world.storage.journal.write(JournalEntry(session=ended))
    assert await reread(world, session) == ended
