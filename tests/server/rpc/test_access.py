from __future__ import annotations

import hashlib
from datetime import timedelta

import grpc
import pytest
from mimic.v1 import agents_pb2, personas_pb2, runs_pb2, sessions_pb2, teams_pb2
from mimic_server.domain.teams import Role
from mimic_server.rpc.roles import ACCESS
from mimic_server.services.clock import utc_now

from tests.server.rpc.bench import Bench, Client, refused
from tests.server.rpc.every_rpc import METHODS, Ids, call, in_order

Code = grpc.StatusCode


async def status(client: Client, name: str, request: bytes = b"") -> grpc.StatusCode:
    try:
        await call(client.channel, name, request)
    except grpc.aio.AioRpcError as error:
        return error.code()
    return Code.OK


def test_every_rpc_says_which_role_it_needs() -> None:
    assert {f"/{service}/{method}" for service, methods in ACCESS.items() for method in methods} == set(
        METHODS
    )


def test_what_reads_is_open_to_all_and_keys_teams_and_adapters_to_admins_alone() -> None:
    for service, methods in ACCESS.items():
        for method, access in methods.items():
            reads = method.startswith(("Get", "List", "Watch"))
            if service == "mimic.v1.ApiKeyService" or method in {"GetEffectiveSettings", "WatchLogs"}:
                expected = Role.ADMIN
            elif reads:
                expected = Role.VIEWER
            else:
                admin = service in {"mimic.v1.TeamService", "mimic.v1.AdapterAdminService"}
                expected = Role.ADMIN if admin else Role.MEMBER
            assert access.role is expected, method
            assert access.reads is method.startswith(("Get", "List")), method


async def test_no_rpc_is_answered_without_a_valid_credential(bench: Bench) -> None:
    revoked, expired = await bench.key(), await bench.key(expire_time=utc_now() + timedelta(days=1))
    credentials = bench.services.credentials
    for key in (revoked, expired):
        found = await bench.storage.find_api_key(hashlib.sha256(key.encode()).digest())
        assert found is not None
        if key == revoked:
            request = teams_pb2.RevokeApiKeyRequest(api_key_id=str(found.id))
            await bench.admin.api_keys.RevokeApiKey(request)
    late = utc_now() + timedelta(days=2)
    clients = [
        bench.client(None),
        bench.client("mimic_" + "x" * 43),
        bench.client("no key at all"),
        bench.client(revoked),
        bench.client(expired),
    ]
    credentials._clock = lambda: late
    for client in clients:
        for name in METHODS:
            assert await status(client, name) is Code.UNAUTHENTICATED, (client.key, name)


async def test_a_refused_credential_is_not_told_apart(bench: Bench) -> None:
    revoked = await bench.key()
    key = (await bench.admin.api_keys.ListApiKeys(teams_pb2.ListApiKeysRequest())).api_keys[0]
    client = bench.client(revoked)
    request = agents_pb2.ListAgentsRequest()
    await client.agents.ListAgents(request)
    await bench.admin.api_keys.RevokeApiKey(teams_pb2.RevokeApiKeyRequest(api_key_id=key.id))
    with refused(Code.UNAUTHENTICATED) as of_revoked:
        await client.agents.ListAgents(request)
    with refused(Code.UNAUTHENTICATED) as of_unknown:
        await bench.client("mimic_nobody").agents.ListAgents(request)
    assert of_revoked.message == of_unknown.message


async def test_a_bearer_token_is_refused_with_what_to_do(bench: Bench) -> None:
    with refused(Code.UNAUTHENTICATED, reason="BEARER_NOT_TAKEN") as refusal:
        await bench.client(None).agents.ListAgents(
            agents_pb2.ListAgentsRequest(), metadata=(("authorization", "Bearer x.y.z"),)
        )
    assert "x-api-key" in refusal.message


@pytest.mark.parametrize("role", list(Role))
async def test_each_role_may_do_what_it_may_and_no_more(bench: Bench, role: Role) -> None:
    client = bench.client(await bench.key(role))
    for name in METHODS:
        _, service, method = name.split("/")
        denied = await status(client, name) is Code.PERMISSION_DENIED
        assert denied is (role < ACCESS[service][method].role), name


_OF_NO_ID = (
    "CreateAgent List CreateTeam CreateApiKey GetInfo GetEffectiveSettings "
    "GetAdapter RestartAdapter EnableAdapter DisableAdapter WatchLogs"
)


def needs_an_id(name: str) -> bool:
    method = name.rpartition("/")[2]
    if method in {"ListMessages", "ListRawPayloads", "ListResults"}:
        return True
    return not method.startswith(tuple(_OF_NO_ID.split()))


async def test_another_teams_things_are_not_there(bench: Bench) -> None:
    ids = await Ids.made(bench)
    stranger = await bench.another_team()
    theirs, absent = in_order(ids), in_order(Ids.absent())
    for name in filter(needs_an_id, METHODS):
        for request in (theirs[name], absent[name]):
            assert await status(stranger, name, request.SerializeToString()) is Code.NOT_FOUND, name
        assert await status(bench.admin, name, absent[name].SerializeToString()) is Code.NOT_FOUND, name


async def test_another_teams_things_are_in_no_listing(bench: Bench) -> None:
    ids = await Ids.made(bench)
    stranger = await bench.another_team()
    for request in (personas_pb2.ListPersonasRequest(), personas_pb2.ListPersonasRequest(agent_id=ids.agent)):
        assert not (await stranger.personas.ListPersonas(request)).personas
        assert (await bench.admin.personas.ListPersonas(request)).personas
    assert not (await stranger.agents.ListAgents(agents_pb2.ListAgentsRequest())).agents
    assert not (await stranger.runs.ListRuns(runs_pb2.ListRunsRequest(agent_id=ids.agent))).runs
    sessions = sessions_pb2.ListSessionsRequest(run_id=ids.run)
    assert not (await stranger.sessions.ListSessions(sessions)).sessions
    keys = (await stranger.api_keys.ListApiKeys(teams_pb2.ListApiKeysRequest())).api_keys
    assert [key.name for key in keys] == ["first admin key"]


async def test_mixed_ids_of_two_agents_do_not_fit(bench: Bench) -> None:
    ids = await Ids.made(bench)
    other = await bench.admin.agent()
    with refused(Code.NOT_FOUND):
        await bench.admin.sessions.CreateSession(
            sessions_pb2.CreateSessionRequest(agent_id=other.id, persona_id=ids.persona)
        )
    with refused(Code.NOT_FOUND):
        await bench.admin.runs.CreateRun(
            runs_pb2.CreateRunRequest(agent_id=other.id, persona_ids=[ids.persona])
        )
