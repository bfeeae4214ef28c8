from __future__ import annotations

import asyncio

import pytest
from mimic_server.domain.errors import PermissionDeniedError
from mimic_server.domain.ids import TeamId, new_uuid
from mimic_server.domain.ports import Page
from mimic_server.domain.teams import Principal, Role, Team
from mimic_server.services.clock import utc_now
from mimic_server.services.credentials import Credentials
from mimic_server.services.teams import FIRST_TEAM_ID, TeamService, TeamSpec, ensure_first_team
from mimic_server.storage import SqlStorage


async def test_the_first_team_is_made_once_whoever_is_faster(empty_storage: SqlStorage) -> None:
    keys = await asyncio.gather(*(ensure_first_team(empty_storage) for _ in range(4)))
    (key,) = [key for key in keys if key]
    principal = await Credentials(empty_storage).of_api_key(key)
    assert (principal.team_id, principal.role) == (FIRST_TEAM_ID, Role.ADMIN)
    assert await ensure_first_team(empty_storage) is None


async def test_a_crash_between_team_and_key_is_mended(empty_storage: SqlStorage) -> None:
    now = utc_now()
    await empty_storage.add_team(Team(FIRST_TEAM_ID, "default", now, now))
    assert await ensure_first_team(empty_storage)
    assert await ensure_first_team(empty_storage) is None


async def test_one_request_makes_one_team_with_one_key(storage: SqlStorage) -> None:
    teams = TeamService(storage)
    first = Principal(FIRST_TEAM_ID, Role.ADMIN, "test")
    spec = TeamSpec(name="Others")
    answers = await asyncio.gather(*(teams.create(first, spec, "r") for _ in range(4)))
    assert len({answer.team.id for answer in answers}) == 1
    assert len([answer for answer in answers if answer.admin_key]) == 1
    async with storage.team(answers[0].team.id) as unit:
        assert len((await unit.api_keys.list(Page())).items) == 1
    assert (await teams.create(first, spec)).team.id != (await teams.create(first, spec)).team.id
    with pytest.raises(PermissionDeniedError):
        await teams.create(Principal(TeamId(new_uuid()), Role.ADMIN, "test"), spec)
