"""Teams, API keys, adapters and the server itself."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp
from mimic.v1 import adapters_pb2, agents_pb2, server_pb2
from mimic.v1 import teams_pb2 as pb
from mimic_server.domain.errors import FaultError
from mimic_server.services.clock import utc_now

from tests.server.rpc.bench import SIMULATOR_FAULT, Bench, Client, refused

Code = grpc.StatusCode


def at(delta: timedelta) -> Timestamp:
    """A moment from now."""
    moment = Timestamp()
    moment.FromDatetime(utc_now() + delta)
    return moment


async def test_a_new_team_has_a_key_that_is_shown_once(api: Client, bench: Bench) -> None:
    request = pb.CreateTeamRequest(team=pb.Team(name="Others"), request_id="t1")
    created = await api.teams.CreateTeam(request)
    again = await api.teams.CreateTeam(request)
    assert again.team == created.team
    assert (bool(created.admin_key), again.admin_key) == (True, "")
    theirs = bench.client(created.admin_key)
    assert (await theirs.teams.ListTeams(pb.ListTeamsRequest())).teams[0] == created.team
    with refused(Code.PERMISSION_DENIED, reason="FIRST_TEAM_ONLY"):
        await theirs.teams.CreateTeam(request)
    with refused(Code.NOT_FOUND, reason="TEAM_NOT_FOUND"):
        await api.teams.GetTeam(pb.GetTeamRequest(team_id=created.team.id))


async def test_a_team_is_renamed(api: Client) -> None:
    team = (await api.teams.ListTeams(pb.ListTeamsRequest())).teams[0]
    change = pb.UpdateTeamRequest(team=pb.Team(id=team.id, name="Renamed", etag=team.etag))
    assert (await api.teams.UpdateTeam(change)).team.name == "Renamed"
    with refused(Code.ABORTED):
        await api.teams.UpdateTeam(change)
    with refused(Code.INVALID_ARGUMENT, "team.name"):
        await api.teams.UpdateTeam(
            pb.UpdateTeamRequest(team=pb.Team(id=team.id), update_mask=FieldMask(paths=["name"]))
        )
    with refused(Code.INVALID_ARGUMENT, "page_token"):
        await api.teams.ListTeams(pb.ListTeamsRequest(page_token="x"))


async def test_a_key_is_shown_once_and_works_until_it_is_revoked(api: Client, bench: Bench) -> None:
    request = pb.CreateApiKeyRequest(api_key=pb.ApiKey(name="ci"), request_id="k1")
    created = await api.api_keys.CreateApiKey(request)
    assert created.key.startswith("mimic_")
    assert len(created.key) == len("mimic_") + 43
    assert created.key.startswith(created.api_key.prefix)
    assert created.api_key.role == pb.ROLE_MEMBER
    again = await api.api_keys.CreateApiKey(request)
    assert (again.api_key, again.key) == (created.api_key, "")

    client = bench.client(created.key)
    await client.agents.ListAgents(agents_pb2.ListAgentsRequest())
    key_id = created.api_key.id
    used = (await api.api_keys.GetApiKey(pb.GetApiKeyRequest(api_key_id=key_id))).api_key
    assert used.last_use_time.seconds % 60 == 0
    assert used.last_use_time.seconds
    revoke = pb.RevokeApiKeyRequest(api_key_id=key_id)
    revoked = (await api.api_keys.RevokeApiKey(revoke)).api_key
    assert revoked.HasField("revoke_time")
    assert (await api.api_keys.RevokeApiKey(revoke)).api_key == revoked
    with refused(Code.UNAUTHENTICATED):
        await client.agents.ListAgents(agents_pb2.ListAgentsRequest())


async def test_the_last_admin_key_stays(api: Client, bench: Bench) -> None:
    (first,) = (await api.api_keys.ListApiKeys(pb.ListApiKeysRequest())).api_keys
    for key in (
        pb.ApiKey(name="member"),
        pb.ApiKey(name="expires", role=pb.ROLE_ADMIN, expire_time=at(timedelta(days=1))),
    ):
        await api.api_keys.CreateApiKey(pb.CreateApiKeyRequest(api_key=key))
    bench.services.api_keys._clock = lambda: utc_now() + timedelta(days=2)
    with refused(Code.FAILED_PRECONDITION, reason="LAST_ADMIN_KEY"):
        await api.api_keys.RevokeApiKey(pb.RevokeApiKeyRequest(api_key_id=first.id))
    second = pb.CreateApiKeyRequest(api_key=pb.ApiKey(name="admin", role=pb.ROLE_ADMIN))
    await api.api_keys.CreateApiKey(second)
    await api.api_keys.RevokeApiKey(pb.RevokeApiKeyRequest(api_key_id=first.id))


async def test_a_key_gets_another_name_or_expiry(api: Client, bench: Bench) -> None:
    created = await api.api_keys.CreateApiKey(
        pb.CreateApiKeyRequest(api_key=pb.ApiKey(name="ci", expire_time=at(timedelta(days=1))))
    )
    key_id = created.api_key.id

    async def update(*mask: str, **fields: Any) -> pb.ApiKey:
        request = pb.UpdateApiKeyRequest(
            api_key=pb.ApiKey(id=key_id, **fields), update_mask=FieldMask(paths=mask)
        )
        return (await api.api_keys.UpdateApiKey(request)).api_key

    assert (await update(name="renamed")).HasField("expire_time")
    assert not (await update("expire_time")).HasField("expire_time")
    for past in (at(-timedelta(days=1)), Timestamp(seconds=10**17)):
        with refused(Code.INVALID_ARGUMENT, "api_key.expire_time"):
            await update(expire_time=past)
    with refused(Code.INVALID_ARGUMENT, "api_key.role"):
        await update(role=pb.ROLE_ADMIN)
    assert (await update(role=pb.ROLE_MEMBER)).role == pb.ROLE_MEMBER
    with refused(Code.INVALID_ARGUMENT, "update_mask.paths[0]"):
        await update("prefix")
    client = bench.client(created.key)
    await client.agents.ListAgents(agents_pb2.ListAgentsRequest())
    await update("expire_time", expire_time=at(timedelta(milliseconds=200)))
    bench.services.credentials._clock = lambda: utc_now() + timedelta(seconds=1)
    with refused(Code.UNAUTHENTICATED):
        await client.agents.ListAgents(agents_pb2.ListAgentsRequest())


@pytest.mark.parametrize(
    "fields,violated",
    [
        ({"name": ""}, "api_key.name"),
        ({"name": "n", "role": 9}, "api_key.role"),
        ({"name": "n", "expire_time": Timestamp(seconds=1)}, "api_key.expire_time"),
    ],
)
async def test_each_field_of_a_key_has_its_limits(api: Client, fields: dict[str, Any], violated: str) -> None:
    with refused(Code.INVALID_ARGUMENT, violated):
        await api.api_keys.CreateApiKey(pb.CreateApiKeyRequest(api_key=pb.ApiKey(**fields)))


async def test_adapters_are_shown_and_steered(api: Client, bench: Bench) -> None:
    (adapter,) = (await api.adapters.ListAdapters(adapters_pb2.ListAdaptersRequest())).adapters
    assert (adapter.channel, adapter.state) == ("local", adapters_pb2.ADAPTER_STATE_READY)
    disabled = await api.adapters.DisableAdapter(adapters_pb2.DisableAdapterRequest(channel="local"))
    assert disabled.adapter.state == adapters_pb2.ADAPTER_STATE_DISABLED
    enabled = await api.adapters.EnableAdapter(adapters_pb2.EnableAdapterRequest(channel="local"))
    assert enabled.adapter.state == adapters_pb2.ADAPTER_STATE_READY
    await api.adapters.RestartAdapter(adapters_pb2.RestartAdapterRequest(channel="local"))
    for channel, code in (("", Code.INVALID_ARGUMENT), ("fax", Code.NOT_FOUND)):
        with refused(code):
            await api.adapters.GetAdapter(adapters_pb2.GetAdapterRequest(channel=channel))

    async def broken(_: str) -> Any:
        raise FaultError(SIMULATOR_FAULT)

    bench.adapters.manifest = broken  # type: ignore[method-assign, assignment]
    # An adapter that does not start is shown with its state, which says why.
    await api.adapters.GetAdapter(adapters_pb2.GetAdapterRequest(channel="local"))


async def test_an_adapters_log_is_read_from_a_level_on(api: Client) -> None:
    async def levels(**fields: Any) -> list[int]:
        request = adapters_pb2.WatchLogsRequest(channel="local", **fields)
        return [line.level async for line in api.adapters.WatchLogs(request)]

    assert await levels() == [1, 2, 3, 4, 5]
    assert await levels(level=adapters_pb2.LOG_LEVEL_WARN, follow=True) == [4, 5]
    with refused(Code.INVALID_ARGUMENT, "level"):
        await levels(level=9)


async def test_the_server_says_which_it_is(api: Client) -> None:
    info = await api.server.GetInfo(server_pb2.GetInfoRequest())
    assert (info.version, list(info.roles), info.model) == ("1.2.3", ["api", "worker"], "listed")
    assert info.schema_revision
    assert info.HasField("start_time")
    settings = await api.server.GetEffectiveSettings(server_pb2.GetEffectiveSettingsRequest())
    assert [(s.name, s.source) for s in settings.settings] == [("DATABASE_URL", "default")]
