"""Leases: one worker at a time, and none for ever."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

from mimic_server.domain.ids import new_uuid
from mimic_server.domain.ports import JournalEntry, Work
from mimic_server.domain.runs import JobState
from mimic_server.domain.sessions import SessionState

from tests.server.storage.make import World

MINUTE = timedelta(minutes=1)
OVER = timedelta(seconds=-1)
"""The length of a lease that ended as soon as it began."""


async def pieces_of_work(world: World) -> list[Work]:
    """A bootstrap, a run and a session, in the order they were made."""
    bootstrap, run, session = world.bootstrap(), world.run(), world.session()
    async with world.storage.team(world.team.id) as unit:
        await unit.bootstraps.add(bootstrap)
        await unit.runs.add(run)
        await unit.sessions.add(session)
    return [
        Work("bootstrap", world.team.id, bootstrap.id),
        Work("run", world.team.id, run.id),
        Work("session", world.team.id, session.id),
    ]


async def test_one_owner_at_a_time(world: World) -> None:
    leases = world.storage.leases
    for work in await pieces_of_work(world):
        assert await leases.acquire(work, "a", MINUTE)
        assert await leases.acquire(work, "a", MINUTE)
        assert not await leases.acquire(work, "b", MINUTE)
        await leases.release(work, "b")
        assert not await leases.acquire(work, "b", MINUTE)
        await leases.release(work, "a")
        await leases.release(work, "a")
        assert await leases.acquire(work, "b", MINUTE)


async def test_of_many_that_want_it_one_gets_it(world: World) -> None:
    work = (await pieces_of_work(world))[2]
    got = await asyncio.gather(*(world.storage.leases.acquire(work, f"w{n}", MINUTE) for n in range(10)))
    assert sorted(got) == [False] * 9 + [True]


async def test_a_lease_that_is_not_renewed_ends(world: World) -> None:
    leases = world.storage.leases
    for work in await pieces_of_work(world):
        assert await leases.acquire(work, "a", OVER)
        assert await leases.acquire(work, "b", MINUTE)
        assert not await leases.acquire(work, "a", MINUTE)


async def test_renewing_tells_what_is_still_held(world: World) -> None:
    leases = world.storage.leases
    bootstrap, run, session = await pieces_of_work(world)
    for work in (bootstrap, run, session):
        await leases.acquire(work, "a", OVER)
    await leases.acquire(run, "b", MINUTE)
    assert set(await leases.renew("a", MINUTE)) == {bootstrap, session}
    assert not await leases.acquire(session, "b", MINUTE)
    assert await leases.renew("nobody", MINUTE) == []


async def test_abandoned_work_is_found_oldest_first(world: World) -> None:
    leases = world.storage.leases
    works = await pieces_of_work(world)
    others = await pieces_of_work(await World.make(world.storage))
    assert list(await leases.abandoned()) == [*works, *others]
    assert list(await leases.abandoned(limit=2)) == works[:2]
    for work in works:
        await leases.acquire(work, "a", MINUTE)
    assert list(await leases.abandoned()) == others
    await leases.release(works[1], "a")
    await leases.acquire(works[2], "a", OVER)
    assert list(await leases.abandoned()) == [works[1], works[2], *others]


async def test_what_has_ended_is_nobodys_to_take(world: World) -> None:
    async with world.storage.team(world.team.id) as unit:
        bootstrap, run = world.bootstrap(state=JobState.FAILED), world.run(state=JobState.COMPLETED)
        await unit.bootstraps.add(bootstrap)
        await unit.runs.add(run)
    session = await world.stored_session(state=SessionState.CANCELLED)
    assert not await world.storage.leases.abandoned()
    for work in (
        Work("bootstrap", world.team.id, bootstrap.id),
        Work("run", world.team.id, run.id),
        Work("session", world.team.id, session.id),
        Work("session", world.team.id, new_uuid()),
    ):
        assert not await world.storage.leases.acquire(work, "a", MINUTE)


async def test_a_runs_sessions_are_the_runs_affair(world: World) -> None:
    run = world.run()
    async with world.storage.team(world.team.id) as unit:
        await unit.runs.add(run)
    session = await world.stored_session(run_id=run.id)
    assert [work.kind for work in await world.storage.leases.abandoned()] == ["run"]
    assert await world.storage.leases.acquire(Work("session", world.team.id, session.id), "a", MINUTE)


async def test_another_team_takes_no_lease(world: World) -> None:
    stranger = await World.make(world.storage)
    for work in await pieces_of_work(world):
        assert not await world.storage.leases.acquire(replace(work, team_id=stranger.team.id), "a", MINUTE)
        assert await world.storage.leases.acquire(work, "b", MINUTE)
        await world.storage.leases.release(replace(work, team_id=stranger.team.id), "b")
        assert not await world.storage.leases.acquire(work, "a", MINUTE)


async def test_saving_what_is_worked_on_leaves_its_lease(world: World) -> None:
    session = await world.stored_session()
    work = Work("session", world.team.id, session.id)
    assert await world.storage.leases.acquire(work, "a", MINUTE)
    await world.storage.journal.write(JournalEntry(session=replace(session, state=SessionState.RUNNING)))
    async with world.storage.team(world.team.id) as unit:
        await unit.sessions.save(replace(session, cancel_requested=True))
    assert not await world.storage.leases.acquire(work, "b", MINUTE)
