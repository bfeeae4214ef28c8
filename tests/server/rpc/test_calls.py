from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from mimic.v1 import agents_pb2, personas_pb2, sessions_pb2
from mimic_server.domain.errors import PreconditionError, UnavailableError
from mimic_server.rpc.server import RpcServer, RpcSettings
from structlog.testing import capture_logs

from tests.server.rpc.bench import Bench, Client, local, refused, running, until
from tests.server.rpc.every_rpc import METHODS, call

Code = grpc.StatusCode
SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
LIST = "/mimic.v1.AgentService/ListAgents"


async def watched(api: Client) -> Any:
    """The stream of a session that goes on until someone ends it, its first event read."""
    agent = await api.agent()
    persona = await api.persona(agent.id)
    session = await api.sessions.CreateSession(
        sessions_pb2.CreateSessionRequest(agent_id=agent.id, persona_id=persona.id, human_control=True)
    )
    stream = api.sessions.WatchSession(sessions_pb2.WatchSessionRequest(session_id=session.session.id))
    await stream.read()
    return stream


async def test_a_call_carries_its_id_and_has_one_line_in_the_log(api: Client) -> None:
    with capture_logs() as lines:
        pending = api.agents.ListAgents(
            agents_pb2.ListAgentsRequest(), metadata=(("x-request-id", "mine-1"),)
        )
        await pending
    assert dict(await pending.trailing_metadata())["x-request-id"] == "mine-1"
    (line,) = [line for line in lines if line["event"] == "rpc"]
    assert line["request_id"] == "mine-1"
    assert line["method"] == LIST
    assert line["status"] == "OK"
    assert line["ms"] >= 0
    assert line["subject"].startswith("key:")
    assert line["team"]


@pytest.mark.parametrize("given", ["", "x" * 129, "two words"])
async def test_a_call_without_a_usable_id_gets_one(api: Client, given: str) -> None:
    pending = api.agents.ListAgents(agents_pb2.ListAgentsRequest(), metadata=(("x-request-id", given),))
    await pending
    made = dict(await pending.trailing_metadata())["x-request-id"]
    assert made != given
    assert len(made) == 32


async def test_a_refused_call_carries_its_id_too(api: Client) -> None:
    with capture_logs() as lines, refused(Code.INVALID_ARGUMENT) as refusal:
        await api.agents.GetAgent(agents_pb2.GetAgentRequest(), metadata=(("x-request-id", "mine-2"),))
    assert refusal.trailing
    assert refusal.trailing["x-request-id"] == "mine-2"
    assert [line["status"] for line in lines if line["event"] == "rpc"] == ["INVALID_ARGUMENT"]


async def test_a_defect_is_told_by_an_id_alone(api: Client, bench: Bench) -> None:
    agent = await api.agent(connected=False)
    bench.adapters.broken = RuntimeError("the password is hunter2")
    with capture_logs() as lines, refused(Code.INTERNAL, reason="INTERNAL") as refusal:
        await api.agents.AddConnection(
            agents_pb2.AddConnectionRequest(agent_id=agent.id, connection=local({})),
            metadata=(("x-request-id", "mine-3"),),
        )
    assert refusal.metadata == {"correlation_id": "mine-3"}
    assert refusal.message == "internal error; the server's log has it as mine-3"
    (defect,) = [line for line in lines if line["event"] == "rpc_defect"]
    assert defect["exc_info"]
    assert defect["log_level"] == "error"


async def test_bytes_that_are_no_request_are_refused_and_only_after_the_credential(bench: Bench) -> None:
    for name, method in METHODS.items():
        with refused(Code.UNAUTHENTICATED):
            await call(bench.client(None).channel, name, b"\xff\xff\xff")
        with refused(Code.INVALID_ARGUMENT) as refusal:
            await call(bench.admin.channel, name, b"\xff\xff\xff")
        assert method.input_type.name in refusal.message


async def test_a_text_with_a_nul_is_refused_wherever_it_is(api: Client) -> None:
    agent = agents_pb2.Agent(name="a\0b", description="\0")
    connection = local({"a\0": 1, "list": [{"deep": "\0"}]})
    with refused(Code.INVALID_ARGUMENT) as refusal:
        await api.agents.CreateAgent(agents_pb2.CreateAgentRequest(agent=agent, connections=[connection]))
    assert set(refusal.fields) == {
        "agent.name",
        "agent.description",
        "connections[0].settings.fields (a name)",
        "connections[0].settings.fields.list.list_value.values[0].struct_value.fields.deep.string_value",
    }


async def test_a_deadline_ends_the_work(api: Client, bench: Bench) -> None:
    agent = await api.agent(connected=False)
    begun, ended = asyncio.Event(), asyncio.Event()

    async def hang(_: Any) -> Any:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    bench.model.answer = hang  # type: ignore[method-assign, assignment]
    request = personas_pb2.GeneratePersonasRequest(agent_id=agent.id)
    with capture_logs() as lines:
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await api.personas.GeneratePersonas(request, timeout=0.3)
        assert error.value.code() is Code.DEADLINE_EXCEEDED
        await ended.wait()
        await until(lambda: any(line["event"] == "rpc" for line in lines))
    assert [line["status"] for line in lines if line["event"] == "rpc"] == ["DEADLINE_EXCEEDED"]

    begun.clear()
    ended.clear()
    with capture_logs() as lines:
        pending = api.personas.GeneratePersonas(request)
        await begun.wait()
        pending.cancel()
        await ended.wait()
        await until(lambda: any(line["event"] == "rpc" for line in lines))
    assert [line["status"] for line in lines if line["event"] == "rpc"] == ["CANCELLED"]


async def test_a_server_that_drains_still_reads(api: Client, bench: Bench) -> None:
    agent = await api.agent(connected=False)
    health: Any = health_pb2_grpc.HealthStub(bench.client(None).channel)
    assert (await health.Check(health_pb2.HealthCheckRequest())).status == SERVING
    await bench.server.drain()
    assert (await api.agents.GetAgent(agents_pb2.GetAgentRequest(agent_id=agent.id))).agent == agent
    for name in METHODS:
        if not name.rpartition("/")[2].startswith(("Get", "List")):
            with refused(Code.UNAVAILABLE, reason="SERVER_DRAINING") as refusal:
                await call(api.channel, name, b"")
            assert refusal.retry
    assert (await health.Check(health_pb2.HealthCheckRequest())).status == NOT_SERVING


async def test_a_server_that_stops_sends_its_watchers_elsewhere(api: Client, bench: Bench) -> None:
    stream = await watched(api)
    with refused(Code.UNAVAILABLE, reason="SERVER_DRAINING") as refusal:
        stopping = asyncio.ensure_future(bench.server.stop(timedelta(seconds=5)))
        async for _ in stream:
            pass
    assert refusal.retry
    async with asyncio.timeout(2):
        await stopping


async def test_a_watcher_that_goes_away_leaves_nothing_behind(api: Client, bench: Bench) -> None:
    stream = await watched(api)
    topics = bench.services.sessions._feed._topics
    assert topics
    stream.cancel()
    await until(lambda: not topics)
    assert not bench.server._state._streams


async def test_calls_above_the_limit_are_refused(url: str) -> None:
    async with running(url, RpcSettings(max_calls=1, max_request_bytes=2000)) as bench:
        stream = await watched(bench.admin)
        with refused(Code.RESOURCE_EXHAUSTED, reason="TOO_MANY_CALLS") as refusal:
            await bench.admin.agents.ListAgents(agents_pb2.ListAgentsRequest())
        assert refusal.retry
        stream.cancel()
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await bench.admin.agents.ListAgents(agents_pb2.ListAgentsRequest(page_token="x" * 3000))
        assert error.value.code() is Code.RESOURCE_EXHAUSTED


async def test_a_request_of_many_megabytes_gets_through(api: Client) -> None:
    settings = {"url": "u", "notes": "x" * 15 * 2**20}
    request = agents_pb2.CreateAgentRequest(agent=agents_pb2.Agent(name="n"), connections=[local(settings)])
    answer = await api.agents.CreateAgent(request)
    assert len(str(answer.agent.connections[0].settings["notes"])) == 15 * 2**20


async def test_a_database_that_is_away_is_told_as_such(api: Client, bench: Bench) -> None:
    await api.agents.ListAgents(agents_pb2.ListAgentsRequest())

    def away(_: Any) -> Any:
        raise UnavailableError("DATABASE_UNAVAILABLE", "the database is away", timedelta(seconds=7))

    bench.storage.team = away  # type: ignore[method-assign, assignment]
    with refused(Code.UNAVAILABLE, reason="DATABASE_UNAVAILABLE") as refusal:
        await api.agents.ListAgents(agents_pb2.ListAgentsRequest())
    assert refusal.retry == timedelta(seconds=7)


async def test_health_and_reflection_are_open(bench: Bench) -> None:
    channel = bench.client(None).channel
    health: Any = health_pb2_grpc.HealthStub(channel)
    assert (await health.Check(health_pb2.HealthCheckRequest())).status == SERVING
    reflection: Any = reflection_pb2_grpc.ServerReflectionStub(channel)  # type: ignore[arg-type]
    asked = reflection_pb2.ServerReflectionRequest(list_services="")
    answers = [answer async for answer in reflection.ServerReflectionInfo(iter([asked]))]
    names = {service.name for service in answers[0].list_services_response.service}
    assert {name.split("/")[1] for name in METHODS} <= names


async def test_a_port_has_one_server(bench: Bench) -> None:
    with pytest.raises(PreconditionError, match="another one there"):
        await RpcServer.start(bench.services, bench.server.address)
