"""What holds of every repository, for every kind of thing that it keeps."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from mimic_server.domain.agents import Connection, ConnectionSpec
from mimic_server.domain.errors import AlreadyExistsError, ConflictError, InvalidInputError, NotFoundError
from mimic_server.domain.faults import Fault, FaultSource
from mimic_server.domain.ids import ConnectionId, EvaluationId, PersonaId, RunId, TeamId, new_uuid
from mimic_server.domain.messages import Usage
from mimic_server.domain.ports import Page, Storage, UnitOfWork
from mimic_server.domain.runs import JobState, RunOutcome
from mimic_server.domain.sessions import Attempt, SessionState, TerminationReason
from mimic_server.storage import SqlStorage

from tests.server.storage.make import World, agent, api_key, moment, team

KINDS: dict[str, Callable[[World], Any]] = {
    "agents": lambda world: agent(world.team.id),
    "personas": World.persona,
    "evaluations": World.evaluation,
    "runs": World.run,
    "bootstraps": World.bootstrap,
    "sessions": World.session,
    "api_keys": lambda world: api_key(world.team.id),
}
"""Each repository of a unit of work, and a new thing for it."""

CHANGES: dict[str, Callable[[Any], dict[str, Any]]] = {
    "agents": lambda made: {
        "spec": made.spec.model_copy(update={"name": "Other", "version": "2"}),
        "connections": (
            Connection(ConnectionId(new_uuid()), ConnectionSpec(channel="websocket", settings={})),
        ),
    },
    "personas": lambda made: {"spec": made.spec.model_copy(update={"age": 71, "frustrations": ("queues",)})},
    "evaluations": lambda _: {"enabled": False},
    "runs": lambda _: {
        "state": JobState.COMPLETED,
        "outcome": RunOutcome.PASSED,
        "evaluation_ids": (EvaluationId(new_uuid()),),
        "started_at": moment(),
        "ended_at": moment(),
        "cancel_requested": True,
        "error": "went wrong",
        "name": "Nightly",
        "sessions_total": 6,
        "sessions_ended": 5,
    },
    "bootstraps": lambda _: {
        "state": JobState.RUNNING,
        "persona_ids": (PersonaId(new_uuid()),),
        "usage": Usage(1, 2, 3, 4),
    },
    "sessions": lambda _: {
        "state": SessionState.FAILED,
        "attempts": (
            Attempt(
                1,
                moment(),
                ended_at=moment(),
                epoch="e1",
                conversation_ref="ref",
                resumptions=1,
                fault=Fault(FaultSource.CHANNEL, "LOST", "lost"),
                note="not known",
            ),
            Attempt(2, moment()),
        ),
        "termination": TerminationReason.FAULT,
        "termination_detail": "the channel broke",
        "fault": Fault(FaultSource.AGENT, "CRASHED", "it crashed", "mend it"),
        "usage": Usage(1, 2, 3, 4),
        "started_at": moment(),
        "ended_at": moment(),
        "human_control": True,
        "turns": 3,
        "message_count": 5,
    },
    "api_keys": lambda _: {"revoked_at": moment(), "last_used_at": moment()},
}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def of(unit: UnitOfWork, kind: str) -> Any:
    return getattr(unit, kind)


def versioned(kind: str, entity: Any, version: int) -> Any:
    name = {"runs": "rev", "bootstraps": "rev", "sessions": "rev"}.get(kind, "etag")
    return replace(entity, **{name: version})


async def add(world: World, kind: str, **fields: Any) -> Any:
    entity = replace(KINDS[kind](world), **fields)
    async with world.storage.team(world.team.id) as unit:
        await of(unit, kind).add(entity)
    return entity


async def test_the_storage_is_what_the_port_says(storage: SqlStorage) -> None:
    port: Storage = storage
    assert await port.schema_revision() == "0001"


async def test_what_is_added_is_found_again_as_it_was(world: World, kind: str) -> None:
    entity = await add(world, kind)
    async with world.storage.team(world.team.id) as unit:
        assert await of(unit, kind).get(entity.id) == entity


async def test_what_is_absent_is_not_found(world: World, kind: str) -> None:
    async with world.storage.team(world.team.id) as unit:
        with pytest.raises(NotFoundError):
            await of(unit, kind).get(new_uuid())
        with pytest.raises(NotFoundError):
            await of(unit, kind).save(KINDS[kind](world))
        with pytest.raises(NotFoundError):
            await of(unit, kind).remove(new_uuid())


async def test_a_change_is_stored_whole(world: World, kind: str) -> None:
    entity = await add(world, kind)
    changed = replace(entity, **CHANGES[kind](entity))
    async with world.storage.team(world.team.id) as unit:
        await of(unit, kind).save(changed)
    async with world.storage.team(world.team.id) as unit:
        assert await of(unit, kind).get(entity.id) == changed


async def test_an_id_is_taken_once(world: World, kind: str) -> None:
    entity = await add(world, kind)
    with pytest.raises(AlreadyExistsError):
        await add(world, kind, id=entity.id)


async def test_a_request_id_makes_one_thing(world: World, kind: str) -> None:
    entity = await add(world, kind, request_id="r1")
    with pytest.raises(AlreadyExistsError):
        await add(world, kind, request_id="r1")
    async with world.storage.team(world.team.id) as unit:
        assert await of(unit, kind).by_request_id("r1") == entity
        assert await of(unit, kind).by_request_id("r2") is None
        assert await of(unit, kind).by_request_id("") is None


async def test_without_a_request_id_there_may_be_many(world: World, kind: str) -> None:
    first, second = await add(world, kind), await add(world, kind)
    assert first.id != second.id


async def test_a_transaction_goes_on_after_a_refused_insert(world: World, kind: str) -> None:
    entity = await add(world, kind)
    other = KINDS[kind](world)
    async with world.storage.team(world.team.id) as unit:
        with pytest.raises(AlreadyExistsError):
            await of(unit, kind).add(entity)
        await of(unit, kind).add(other)
    async with world.storage.team(world.team.id) as unit:
        assert await of(unit, kind).get(other.id) == other


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "api_keys"])
async def test_an_older_etag_is_refused(world: World, kind: str) -> None:
    entity = await add(world, kind)
    async with world.storage.team(world.team.id) as unit:
        await of(unit, kind).save(versioned(kind, entity, 2), if_etag=1)
    with pytest.raises(ConflictError):
        async with world.storage.team(world.team.id) as unit:
            await of(unit, kind).save(versioned(kind, entity, 3), if_etag=1)
    async with world.storage.team(world.team.id) as unit:
        assert await of(unit, kind).get(entity.id) == versioned(kind, entity, 2)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "api_keys"])
async def test_of_two_changes_at_once_one_is_refused(world: World, kind: str) -> None:
    entity = await add(world, kind)

    async def change(version: int) -> bool:
        try:
            async with world.storage.team(world.team.id) as unit:
                found = await of(unit, kind).get(entity.id)
                await of(unit, kind).save(versioned(kind, found, version), if_etag=1)
        except ConflictError:
            return False
        return True

    assert sorted(await asyncio.gather(change(2), change(3))) == [False, True]


async def test_another_team_sees_and_changes_nothing(world: World, kind: str) -> None:
    entity = await add(world, kind, request_id="r1")
    stranger = await World.make(world.storage)
    async with world.storage.team(stranger.team.id) as unit:
        theirs = of(unit, kind)
        with pytest.raises(NotFoundError):
            await theirs.get(entity.id)
        assert await theirs.by_request_id("r1") is None
        with pytest.raises(NotFoundError):
            await theirs.save(entity)
        with pytest.raises(NotFoundError):
            await theirs.remove(entity.id)
        with pytest.raises(ValueError, match="another team"):
            await theirs.add(replace(KINDS[kind](world)))
        assert entity not in (await theirs.list(Page())).items
    async with world.storage.team(world.team.id) as unit:
        assert await of(unit, kind).get(entity.id) == entity
    await add(stranger, kind, request_id="r1")


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in {"agents", "api_keys"}])
async def test_nothing_belongs_to_another_teams_agent(world: World, kind: str) -> None:
    stranger = await World.make(world.storage)
    with pytest.raises(NotFoundError, match="agent"):
        await add(world, kind, agent_id=stranger.agent.id)


async def test_an_exception_undoes_everything(world: World, kind: str) -> None:
    kept = await add(world, kind)
    lost = KINDS[kind](world)

    async def fail() -> None:
        async with world.storage.team(world.team.id) as unit:
            await of(unit, kind).add(lost)
            await of(unit, kind).remove(kept.id)
            raise LookupError

    with pytest.raises(LookupError):
        await fail()
    async with world.storage.team(world.team.id) as unit:
        assert await of(unit, kind).get(kept.id) == kept
        with pytest.raises(NotFoundError):
            await of(unit, kind).get(lost.id)


async def test_a_unit_of_work_sees_what_it_wrote(world: World, kind: str) -> None:
    entity = KINDS[kind](world)
    async with world.storage.team(world.team.id) as unit:
        await of(unit, kind).add(entity)
        assert await of(unit, kind).get(entity.id) == entity
        await of(unit, kind).remove(entity.id)
        with pytest.raises(NotFoundError):
            await of(unit, kind).get(entity.id)


async def pages(world: World, kind: str, size: int, **how: Any) -> list[list[Any]]:
    found, token = [], ""
    while True:
        async with world.storage.team(world.team.id) as unit:
            listing = await of(unit, kind).list(Page(size, token), **how)
        found.append([item.id for item in listing.items])
        token = listing.next_token
        if not token:
            return found


async def test_pages_are_newest_first_and_lack_nothing(world: World, kind: str) -> None:
    made = [await add(world, kind) for _ in range(5)]
    ids = [entity.id for entity in made]
    if kind == "agents":
        ids.insert(0, world.agent.id)
    found = await pages(world, kind, 2)
    assert [key for page in found for key in page] == ids[::-1]
    assert all(len(page) == 2 for page in found[:-1])
    assert await pages(world, kind, 1000) == [ids[::-1]]
    assert await pages(world, kind, 1000, oldest_first=True) == [ids]
    assert [key for page in await pages(world, kind, 3, oldest_first=True) for key in page] == ids


async def test_pages_are_stable_while_rows_come_and_go(world: World) -> None:
    made = [await add(world, "personas") for _ in range(6)]
    async with world.storage.team(world.team.id) as unit:
        first = await unit.personas.list(Page(2))
    await add(world, "personas")
    async with world.storage.team(world.team.id) as unit:
        await unit.personas.remove(first.items[-1].id)
        rest = await unit.personas.list(Page(10, first.next_token))
    assert list(first.items + rest.items) == made[::-1]


async def test_rows_of_one_moment_are_told_apart_by_their_ids(world: World) -> None:
    at = moment()
    made = [await add(world, "personas", created_at=at) for _ in range(5)]
    found = await pages(world, "personas", 2)
    assert [key for page in found for key in page] == sorted((entity.id for entity in made), reverse=True)


async def test_a_token_serves_its_own_listing_alone(world: World) -> None:
    for _ in range(3):
        await add(world, "personas")
    stranger = await World.make(world.storage)
    async with world.storage.team(world.team.id) as unit:
        token = (await unit.personas.list(Page(1), agent_id=world.agent.id)).next_token
        for wrong in ("x", "é", token[:-4], token + "AAAA", token[::-1]):
            with pytest.raises(InvalidInputError) as refused:
                await unit.personas.list(Page(1, wrong), agent_id=world.agent.id)
            assert [violation.field for violation in refused.value.violations] == ["page_token"]
        with pytest.raises(InvalidInputError):
            await unit.personas.list(Page(1, token))
        with pytest.raises(InvalidInputError):
            await unit.personas.list(Page(1, token), agent_id=world.agent.id, oldest_first=True)
        with pytest.raises(InvalidInputError):
            await unit.evaluations.list(Page(1, token), agent_id=world.agent.id)
    async with world.storage.team(stranger.team.id) as unit:
        with pytest.raises(InvalidInputError):
            await unit.personas.list(Page(1, token), agent_id=world.agent.id)


async def test_a_page_is_never_empty_nor_boundless(world: World) -> None:
    made = [await add(world, "personas") for _ in range(2)]
    async with world.storage.team(world.team.id) as unit:
        assert (await unit.personas.list(Page(0))).items == (made[1],)
        assert len((await unit.personas.list(Page(10**9))).items) == 2


async def test_listings_are_narrowed_by_equality_and_any_of(world: World) -> None:
    run = await add(world, "runs")
    first = await add(world, "sessions", run_id=run.id, state=SessionState.RUNNING)
    second = await add(world, "sessions", run_id=run.id, repeat=1)
    alone = await add(world, "sessions", state=SessionState.FAILED)

    async def listed(**how: Any) -> list[Any]:
        async with world.storage.team(world.team.id) as unit:
            return list((await unit.sessions.list(Page(), **how)).items)

    assert await listed(run_id=run.id) == [second, first]
    assert await listed(run_id=None) == [alone]
    assert await listed(run_id=RunId(new_uuid())) == []
    assert await listed(persona_id=alone.persona_id) == [alone]
    assert await listed(state=SessionState.CREATED) == [second]
    assert await listed(state=[SessionState.RUNNING, SessionState.FAILED]) == [alone, first]
    assert await listed(state=()) == []
    assert await listed(run_id=run.id, state={SessionState.RUNNING}) == [first]
    assert await listed(id=[first.id, alone.id]) == [alone, first]
    with pytest.raises(TypeError, match="termination_detail"):
        await listed(termination_detail="x")


async def test_removing_an_agent_removes_what_belongs_to_it(world: World) -> None:
    made = {kind: await add(world, kind) for kind in KINDS}
    async with world.storage.team(world.team.id) as unit:
        await unit.agents.remove(world.agent.id)
    async with world.storage.team(world.team.id) as unit:
        for kind, entity in made.items():
            left = [item.id for item in (await of(unit, kind).list(Page())).items]
            assert left == ([entity.id] if kind in {"agents", "api_keys"} else []), kind


async def test_removing_a_persona_leaves_its_sessions(world: World) -> None:
    persona = await add(world, "personas")
    session = await add(world, "sessions", persona_id=persona.id)
    async with world.storage.team(world.team.id) as unit:
        await unit.personas.remove(persona.id)
        assert await unit.sessions.get(session.id) == session


async def test_a_key_has_no_etag(world: World) -> None:
    key = await add(world, "api_keys")
    async with world.storage.team(world.team.id) as unit:
        with pytest.raises(TypeError):
            await unit.api_keys.save(key, if_etag=1)


async def test_teams(storage: SqlStorage) -> None:
    assert await storage.is_empty()
    made = team(request_id="r")
    await storage.add_team(made)
    assert not await storage.is_empty()
    assert await storage.get_team(made.id) == made
    with pytest.raises(AlreadyExistsError):
        await storage.add_team(made)
    renamed = replace(made, name="Other", etag=2, updated_at=moment())
    await storage.save_team(renamed, if_etag=1)
    assert await storage.get_team(made.id) == renamed
    with pytest.raises(ConflictError):
        await storage.save_team(renamed, if_etag=1)
    with pytest.raises(NotFoundError):
        await storage.save_team(team())
    with pytest.raises(NotFoundError):
        await storage.get_team(TeamId(new_uuid()))


async def test_nothing_belongs_to_a_team_that_is_not_there(storage: SqlStorage) -> None:
    nobody = TeamId(new_uuid())
    with pytest.raises(NotFoundError):
        async with storage.team(nobody) as unit:
            await unit.agents.add(agent(nobody))


async def test_a_key_is_found_by_its_hash_and_remembers_its_last_minute(world: World) -> None:
    key = await add(world, "api_keys")
    assert await world.storage.find_api_key(key.key_sha256) == key
    assert await world.storage.find_api_key(b"x" * 32) is None
    at = moment().replace(second=42)
    minute = at.replace(second=0, microsecond=0)

    async def touched(when: Any) -> Any:
        await world.storage.touch_api_key(key, when)
        found = await world.storage.find_api_key(key.key_sha256)
        assert found is not None
        return found.last_used_at

    assert await touched(at) == minute
    assert await touched(at + timedelta(seconds=5)) == minute
    assert await touched(at + timedelta(minutes=2)) == minute + timedelta(minutes=2)
    assert await touched(at) == minute + timedelta(minutes=2)
