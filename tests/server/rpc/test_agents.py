from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import grpc
import pytest
from google.protobuf import json_format
from google.protobuf.field_mask_pb2 import FieldMask
from mimic.adapter.v1 import adapter_pb2
from mimic.v1 import agents_pb2 as pb
from mimic.v1 import bootstraps_pb2, common_pb2, sessions_pb2
from mimic_server.domain.faults import Fault, FaultSource

from tests.server.rpc.bench import Bench, Client, local, refused

Code = grpc.StatusCode


async def test_an_agent_is_created_read_and_listed(api: Client) -> None:
    agent = await api.agent(description="sells shoes", platform="web", version="1.0")
    assert (agent.name, agent.description, agent.platform, agent.version) == (
        "Shop",
        "sells shoes",
        "web",
        "1.0",
    )
    assert (await api.agents.GetAgent(pb.GetAgentRequest(agent_id=agent.id))).agent == agent
    second = await api.agent(connected=False)
    listing = await api.agents.ListAgents(pb.ListAgentsRequest())
    assert [a.id for a in listing.agents] == [second.id, agent.id]
    page = await api.agents.ListAgents(pb.ListAgentsRequest(page_size=1))
    rest = await api.agents.ListAgents(pb.ListAgentsRequest(page_size=1, page_token=page.next_page_token))
    assert [*page.agents, *rest.agents] == list(listing.agents)
    assert not rest.next_page_token


async def test_secrets_never_come_back(api: Client, bench: Bench) -> None:
    agent = await api.agent(connected=False)
    settings = {"url": "u", "token": "s3cret", "auth": {"user": "me", "password": "hush"}}
    connection = local(settings)
    added = await api.agents.AddConnection(pb.AddConnectionRequest(agent_id=agent.id, connection=connection))
    shown = {"url": "u", "token": "[stored]", "auth": {"user": "me", "password": "[stored]"}}
    for answer in (added.connection, added.agent.connections[0]):
        assert json_format.MessageToDict(answer.settings) == shown
    assert added.setup.agent_settings[0].env_var == "BASE_URL"
    assert bench.adapters.connected[added.connection.id].spec.settings == settings

    change = local({**shown, "url": "v"}, id=added.connection.id, channel="")
    await api.agents.UpdateConnection(pb.UpdateConnectionRequest(agent_id=agent.id, connection=change))
    assert bench.adapters.connected[added.connection.id].spec.settings == {**settings, "url": "v"}


async def test_a_secret_that_is_not_stored_cannot_be_kept(api: Client) -> None:
    agent = await api.agent()
    new = local({"token": "[stored]"})
    with refused(Code.INVALID_ARGUMENT, "connection.settings.token"):
        await api.agents.AddConnection(pb.AddConnectionRequest(agent_id=agent.id, connection=new))
    change = local({"auth": {"password": "[stored]"}}, id=agent.connections[0].id)
    with refused(Code.INVALID_ARGUMENT, "connection.settings.auth.password"):
        await api.agents.UpdateConnection(pb.UpdateConnectionRequest(agent_id=agent.id, connection=change))
    with refused(Code.INVALID_ARGUMENT, "connections[0].settings.token"):
        await api.agents.CreateAgent(pb.CreateAgentRequest(agent=pb.Agent(name="n"), connections=[new]))


async def test_everything_is_a_secret_while_the_adapter_cannot_tell(api: Client, bench: Bench) -> None:
    agent = await api.agent()

    async def down(_: str) -> None:
        raise bench.adapters.broken  # type: ignore[misc]

    bench.adapters.broken = TimeoutError()
    bench.adapters.manifest = down  # type: ignore[method-assign, assignment]
    read = (await api.agents.GetAgent(pb.GetAgentRequest(agent_id=agent.id))).agent
    assert dict(read.connections[0].settings) == {"url": "[stored]", "token": "[stored]"}


async def test_a_refused_connection_leaves_nothing_behind(api: Client, bench: Bench) -> None:
    bad = local({"url": "bad"})
    good = local({"url": "good"})
    with refused(Code.INVALID_ARGUMENT, "connections[1].settings.url"):
        await api.agents.CreateAgent(pb.CreateAgentRequest(agent=pb.Agent(name="n"), connections=[good, bad]))
    assert not bench.adapters.connected
    agent = await api.agent(connected=False)
    with refused(Code.INVALID_ARGUMENT, "connection.settings.url"):
        await api.agents.AddConnection(pb.AddConnectionRequest(agent_id=agent.id, connection=bad))
    with refused(Code.INVALID_ARGUMENT, "connection.channel") as refusal:
        unserved = pb.Connection(channel="fax")
        await api.agents.AddConnection(pb.AddConnectionRequest(agent_id=agent.id, connection=unserved))
    assert "there is: local" in refusal.message
    bench.adapters.fault = Fault(FaultSource.CHANNEL, "BAD_CREDENTIALS", "refused", "change the token")
    with refused(Code.FAILED_PRECONDITION, reason="BAD_CREDENTIALS") as refusal:
        await api.agents.AddConnection(pb.AddConnectionRequest(agent_id=agent.id, connection=good))
    assert refusal.metadata == {"fault_source": "CHANNEL", "remedy": "change the token"}
    assert not (await api.agents.GetAgent(pb.GetAgentRequest(agent_id=agent.id))).agent.connections


async def test_a_repeated_request_creates_once(api: Client, bench: Bench) -> None:
    request = pb.CreateAgentRequest(
        agent=pb.Agent(name="Shop"),
        connections=[local({"url": "u"})],
        bootstrap=bootstraps_pb2.BootstrapOptions(personas=2, evaluations=1),
        request_id="r1",
    )
    answers = await asyncio.gather(*(api.agents.CreateAgent(request) for _ in range(5)))
    assert len({answer.agent.id for answer in answers}) == 1
    assert len({answer.bootstrap.id for answer in answers}) == 1
    assert len(bench.adapters.connected) == 1
    assert all(len(answer.connection_setups) == 1 for answer in answers)
    assert len((await api.agents.ListAgents(pb.ListAgentsRequest())).agents) == 1
    # The same key of another kind of thing is another request.
    start = bootstraps_pb2.StartBootstrapRequest(agent_id=answers[0].agent.id, request_id="r1")
    assert (await api.bootstraps.StartBootstrap(start)).bootstrap.id != answers[0].bootstrap.id


async def test_a_bootstrap_begins_with_its_agent(api: Client) -> None:
    created = await api.agents.CreateAgent(
        pb.CreateAgentRequest(
            agent=pb.Agent(name="Shop"), bootstrap=bootstraps_pb2.BootstrapOptions(personas=3, evaluations=2)
        )
    )
    watch = api.bootstraps.WatchBootstrap(
        bootstraps_pb2.WatchBootstrapRequest(bootstrap_id=created.bootstrap.id)
    )
    last = [change.bootstrap async for change in watch][-1]
    assert last.state == common_pb2.JOB_STATE_COMPLETED
    assert (len(last.persona_ids), len(last.evaluation_ids)) == (3, 2)


async def test_only_what_the_mask_names_changes(api: Client) -> None:
    agent = await api.agent(description="old", version="1")
    change = pb.Agent(id=agent.id, name="New", version="2")
    mask = FieldMask(paths=["version", "description"])
    changed = (await api.agents.UpdateAgent(pb.UpdateAgentRequest(agent=change, update_mask=mask))).agent
    assert (changed.name, changed.version, changed.description) == ("Shop", "2", "")
    assert changed.etag != agent.etag
    everything = (await api.agents.UpdateAgent(pb.UpdateAgentRequest(agent=change))).agent
    assert (everything.name, everything.version) == ("New", "2")
    # What was read and sent back whole is no attempt to change what only the server writes.
    assert (await api.agents.UpdateAgent(pb.UpdateAgentRequest(agent=everything))).agent.name == "New"


@pytest.mark.parametrize("path", ["id", "etag", "connections", "create_time", "nothing", "name.x", ""])
async def test_a_mask_names_what_can_change(api: Client, path: str) -> None:
    agent = await api.agent(connected=False)
    request = pb.UpdateAgentRequest(agent=agent, update_mask=FieldMask(paths=["name", path]))
    with refused(Code.INVALID_ARGUMENT, "update_mask.paths[1]"):
        await api.agents.UpdateAgent(request)


async def test_whoever_is_slower_reads_again(api: Client) -> None:
    agent = await api.agent(connected=False)
    await api.agents.UpdateAgent(
        pb.UpdateAgentRequest(agent=pb.Agent(id=agent.id, etag=agent.etag, name="A"))
    )
    for etag in (agent.etag, "no etag of ours", "-1", "9" * 30):
        with refused(Code.ABORTED):
            change = pb.Agent(id=agent.id, etag=etag, name="B")
            await api.agents.UpdateAgent(pb.UpdateAgentRequest(agent=change))


async def test_changes_at_once_are_all_kept(api: Client) -> None:
    agent = await api.agent(connected=False)
    changes: list[dict[str, Any]] = [{"name": "N"}, {"description": "D"}, {"platform": "P"}, {"version": "V"}]
    await asyncio.gather(
        *(api.agents.UpdateAgent(pb.UpdateAgentRequest(agent=pb.Agent(id=agent.id, **c))) for c in changes)
    )
    now = (await api.agents.GetAgent(pb.GetAgentRequest(agent_id=agent.id))).agent
    assert (now.name, now.description, now.platform, now.version) == ("N", "D", "P", "V")


async def test_an_agent_in_use_is_not_deleted(api: Client, bench: Bench) -> None:
    agent = await api.agent()
    persona = await api.persona(agent.id)
    session = (
        await api.sessions.CreateSession(
            sessions_pb2.CreateSessionRequest(agent_id=agent.id, persona_id=persona.id, human_control=True)
        )
    ).session
    delete = pb.DeleteAgentRequest(agent_id=agent.id)
    remove = pb.RemoveConnectionRequest(agent_id=agent.id, connection_id=agent.connections[0].id)
    with refused(Code.FAILED_PRECONDITION, reason="SESSIONS_UNDER_WAY") as refusal:
        await api.agents.DeleteAgent(delete)
    assert session.id in refusal.message
    with refused(Code.FAILED_PRECONDITION, reason="SESSIONS_UNDER_WAY"):
        await api.agents.RemoveConnection(remove)
    watch = api.sessions.WatchSession(sessions_pb2.WatchSessionRequest(session_id=session.id))
    await api.sessions.CancelSession(sessions_pb2.CancelSessionRequest(session_id=session.id))
    async for _ in watch:
        pass
    assert not (await api.agents.RemoveConnection(remove)).agent.connections
    assert not bench.adapters.connected
    await api.agents.DeleteAgent(delete)
    with refused(Code.NOT_FOUND, reason="AGENT_NOT_FOUND"):
        await api.agents.DeleteAgent(delete)


async def test_a_probe_tells_what_it_finds(api: Client, bench: Bench) -> None:
    agent = await api.agent()
    request = pb.CheckConnectionRequest(agent_id=agent.id, connection_id=agent.connections[0].id)
    found = await api.agents.CheckConnection(request)
    assert found.setup.status.state == adapter_pb2.CONNECTION_STATE_DEGRADED
    assert found.took_ms == 12.5
    bench.adapters.fault = Fault(FaultSource.CHANNEL, "BAD_CREDENTIALS", "refused", "change the token")
    found = await api.agents.CheckConnection(request)
    assert found.setup.status.state == adapter_pb2.CONNECTION_STATE_BAD_CREDENTIALS
    assert found.setup.status.remedy == "change the token"
    bench.adapters.fault = Fault(FaultSource.ADAPTER, "ADAPTER_DOES_NOT_START", "it crashed")
    with refused(Code.FAILED_PRECONDITION, reason="ADAPTER_DOES_NOT_START"):
        await api.agents.CheckConnection(request)


async def test_a_connection_keeps_its_channel(api: Client) -> None:
    agent = await api.agent()
    change = pb.Connection(id=agent.connections[0].id, channel="fax")
    with refused(Code.INVALID_ARGUMENT, "connection.channel"):
        await api.agents.UpdateConnection(pb.UpdateConnectionRequest(agent_id=agent.id, connection=change))
    absent = pb.Connection(id=str(uuid4()))
    with refused(Code.NOT_FOUND):
        await api.agents.UpdateConnection(pb.UpdateConnectionRequest(agent_id=agent.id, connection=absent))


async def test_connections_added_at_once_are_all_kept(api: Client) -> None:
    agent = await api.agent(connected=False)
    request = pb.AddConnectionRequest(agent_id=agent.id, connection=pb.Connection(channel="local"))
    await asyncio.gather(*(api.agents.AddConnection(request) for _ in range(4)))
    now = (await api.agents.GetAgent(pb.GetAgentRequest(agent_id=agent.id))).agent
    assert len({connection.id for connection in now.connections}) == 4
