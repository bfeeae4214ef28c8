"""A whole server on a real socket and a real database, with an adapter and a model in the same process."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import grpc
from google.rpc import error_details_pb2, status_pb2
from mimic.v1 import agents_pb2, evaluations_pb2, personas_pb2
from mimic.v1.adapters_pb2_grpc import AdapterAdminServiceStub
from mimic.v1.agents_pb2_grpc import AgentServiceStub
from mimic.v1.bootstraps_pb2_grpc import BootstrapServiceStub
from mimic.v1.evaluations_pb2_grpc import EvaluationServiceStub
from mimic.v1.personas_pb2_grpc import PersonaServiceStub
from mimic.v1.runs_pb2_grpc import RunServiceStub
from mimic.v1.server_pb2_grpc import ServerServiceStub
from mimic.v1.sessions_pb2_grpc import SessionServiceStub
from mimic.v1.teams_pb2_grpc import ApiKeyServiceStub, TeamServiceStub
from mimic_server.domain.adapters import (
    AdapterLogLine,
    AdapterState,
    AdapterStatus,
    AgentSetting,
    Connected,
    ConnectionState,
    ConnectionStatus,
    Manifest,
)
from mimic_server.domain.agents import Connection
from mimic_server.domain.errors import FaultError, InvalidInputError, NotFoundError
from mimic_server.domain.evaluations import EvaluationSpec
from mimic_server.domain.faults import Fault, FaultSource
from mimic_server.domain.personas import PersonaSpec
from mimic_server.domain.teams import Principal, Role
from mimic_server.evaluation.tasks import JudgementTask
from mimic_server.orchestration.embedded import EmbeddedOrchestrator
from mimic_server.rpc.server import RpcServer, RpcSettings, Services
from mimic_server.services.adapters import AdapterService
from mimic_server.services.agents import AgentService
from mimic_server.services.api_keys import ApiKeyService, ApiKeySpec
from mimic_server.services.bootstraps import BootstrapService
from mimic_server.services.clock import utc_now
from mimic_server.services.connections import ConnectionService
from mimic_server.services.credentials import Credentials
from mimic_server.services.evaluations import EvaluationService
from mimic_server.services.feed import Feed
from mimic_server.services.personas import PersonaService
from mimic_server.services.runs import RunService
from mimic_server.services.server import EffectiveSetting, ServerInfo, ServerService
from mimic_server.services.session_runner import SessionRunner
from mimic_server.services.sessions import SessionService
from mimic_server.services.teams import FIRST_TEAM_ID, TeamService, TeamSpec, ensure_first_team
from mimic_server.simulation.drafts import EvaluationDrafts, EvaluationDraftsTask, PersonaDraftTask
from mimic_server.storage import SqlStorage

from tests.support.local.adapters import LocalAdapters
from tests.support.local.model import ListedModel, says, stops

SCHEMA = {
    "type": "object",
    "properties": {
        "url": {"type": "string"},
        "token": {"type": "string", "writeOnly": True},
        "auth": {"$ref": "#/$defs/Auth"},
    },
    "$defs": {
        "Auth": {"properties": {"user": {"type": "string"}, "password": {"anyOf": [{"writeOnly": True}, {}]}}}
    },
}


class BenchAdapters(LocalAdapters):
    """Adapters with the channel `local`, whose settings have secrets."""

    def __init__(self) -> None:
        super().__init__()
        self.connected: dict[str, Connection] = {}
        self.fault: Fault | None = None
        self.broken: Exception | None = None
        self.state = AdapterState.READY
        self.log = [AdapterLogLine("local", level, f"a line of {level}", utc_now()) for level in LEVELS]

    async def manifest(self, channel: str) -> Manifest:
        return replace(await super().manifest(channel), settings_schema_json=json.dumps(SCHEMA))

    async def connect(self, connection: Connection) -> Connected:
        await self.manifest(connection.spec.channel)
        if self.broken:
            raise self.broken
        if self.fault:
            raise FaultError(self.fault)
        if connection.spec.settings.get("url") == "bad":
            raise InvalidInputError.of("settings.url", "is no address")
        self.connected[str(connection.id)] = connection
        setting = AgentSetting("Base URL", "http://127.0.0.1:1", env_var="BASE_URL")
        return Connected(ConnectionStatus(connection.id, ConnectionState.READY), (setting,))

    async def check(self, connection: Connection) -> ConnectionStatus:
        return ConnectionStatus(connection.id, ConnectionState.DEGRADED, "slow", "wait", 12.5)

    async def disconnect(self, channel: str, connection_id: Any) -> None:
        self.connected.pop(str(connection_id), None)

    def statuses(self) -> Sequence[AdapterStatus]:
        return [AdapterStatus("local", self.state, "", "", 0, "local", None, utc_now(), None)]

    async def restart(self, channel: str) -> AdapterStatus:
        return self._status(channel)

    async def set_enabled(self, channel: str, *, enabled: bool) -> AdapterStatus:
        self.state = AdapterState.READY if enabled else AdapterState.DISABLED
        return self._status(channel)

    async def logs(
        self, channel: str, *, follow: bool, level: str = "trace"
    ) -> AsyncIterator[AdapterLogLine]:
        self._status(channel)
        for line in self.log:
            if LEVELS.index(line.level) >= LEVELS.index(level):
                yield line

    def _status(self, channel: str) -> AdapterStatus:
        if channel != "local":
            raise NotFoundError("adapter", channel)
        return self.statuses()[0]


LEVELS = ["trace", "debug", "info", "warn", "error"]

SIMULATOR_FAULT = Fault(FaultSource.SIMULATOR, "MODEL_UNAVAILABLE", "the model is down", "start it")


def answers(task: Any) -> Any:
    """What the model answers."""
    match task:
        case PersonaDraftTask():
            return PersonaSpec(name=f"Persona {task.index}", goals=("get help",))
        case EvaluationDraftsTask():
            specs = [{**CHECK, "name": f"Check {index}"} for index in range(task.options.evaluations)]
            return EvaluationDrafts(evaluations=tuple(map(EvaluationSpec.parse, specs)))
        case JudgementTask():
            return task.answer_type(explanation="it is so", value=True)
        case _:
            return says("hello") if task.turn == 1 else stops("thanks, bye")


CHECK = {
    "metric": "count",
    "method": "regex_match",
    "regex": "sorry",
    "pass_criteria": {"pass": "== 0"},
}


def _with_key(details: Any, key: str) -> Any:
    metadata = [*(details.metadata or ()), ("x-api-key", key)]
    return details._replace(metadata=grpc.aio.Metadata(*metadata))


class _Unary(grpc.aio.UnaryUnaryClientInterceptor):
    def __init__(self, key: str) -> None:
        self._key = key

    async def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        return await continuation(_with_key(details, self._key), request)


class _Stream(grpc.aio.UnaryStreamClientInterceptor):
    def __init__(self, key: str) -> None:
        self._key = key

    async def intercept_unary_stream(self, continuation: Any, details: Any, request: Any) -> Any:
        return await continuation(_with_key(details, self._key), request)


class Client:
    """Every service, called with one API key."""

    def __init__(self, address: str, key: str | None) -> None:
        self.key = key
        self.channel = grpc.aio.insecure_channel(
            address,
            interceptors=[_Unary(key), _Stream(key)] if key else [],
            options=[("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)],
        )
        self.agents = AgentServiceStub(self.channel)
        self.personas = PersonaServiceStub(self.channel)
        self.evaluations = EvaluationServiceStub(self.channel)
        self.bootstraps = BootstrapServiceStub(self.channel)
        self.sessions = SessionServiceStub(self.channel)
        self.runs = RunServiceStub(self.channel)
        self.adapters = AdapterAdminServiceStub(self.channel)
        self.teams = TeamServiceStub(self.channel)
        self.api_keys = ApiKeyServiceStub(self.channel)
        self.server = ServerServiceStub(self.channel)

    async def agent(self, *, connected: bool = True, **fields: Any) -> agents_pb2.Agent:
        """A new agent, which can be reached over `local`."""
        connections = [local({"url": "http://agent", "token": "s3cret"})] if connected else []
        request = agents_pb2.CreateAgentRequest(
            agent=agents_pb2.Agent(**{"name": "Shop", **fields}), connections=connections
        )
        return (await self.agents.CreateAgent(request)).agent

    async def persona(self, agent_id: str, **fields: Any) -> personas_pb2.Persona:
        """A new persona."""
        persona = personas_pb2.Persona(agent_id=agent_id, **{"name": "Ada", "goals": ["help"], **fields})
        request = personas_pb2.CreatePersonaRequest(persona=persona)
        return (await self.personas.CreatePersona(request)).persona

    async def evaluation(self, agent_id: str, **fields: Any) -> evaluations_pb2.Evaluation:
        """A new evaluation."""
        evaluation = evaluations_pb2.Evaluation(agent_id=agent_id, **{**no_apologies(), **fields})
        request = evaluations_pb2.CreateEvaluationRequest(evaluation=evaluation)
        return (await self.evaluations.CreateEvaluation(request)).evaluation


def local(settings: dict[str, Any], **fields: Any) -> agents_pb2.Connection:
    """A connection over the channel `local`."""
    connection = agents_pb2.Connection(**{"channel": "local", **fields})
    connection.settings.update(settings)
    return connection


def no_apologies() -> dict[str, Any]:
    """The fields of an evaluation that counts apologies."""
    return {
        "name": "No apologies",
        "metric": evaluations_pb2.METRIC_COUNT,
        "method": evaluations_pb2.METHOD_REGEX_MATCH,
        "regex": "sorry",
        "pass_criteria": evaluations_pb2.PassCriteria(**{"pass": "== 0"}),
    }


@dataclass
class Bench:
    """A running server, and what it stands on."""

    storage: SqlStorage
    adapters: BenchAdapters
    model: ListedModel
    orchestrator: EmbeddedOrchestrator
    services: Services
    server: RpcServer
    admin: Client
    clients: list[Client]

    def client(self, key: str | None) -> Client:
        """Calls with another key, or none."""
        client = Client(self.server.address, key)
        self.clients.append(client)
        return client

    async def key(self, role: Role = Role.ADMIN, *, of: Principal | None = None, **spec: Any) -> str:
        """A new key."""
        principal = of or Principal(FIRST_TEAM_ID, Role.ADMIN, "test")
        created = await self.services.api_keys.create(principal, ApiKeySpec(name="key", role=role, **spec))
        assert created.key
        return created.key

    async def another_team(self) -> Client:
        """The admin of another team."""
        first = Principal(FIRST_TEAM_ID, Role.ADMIN, "test")
        created = await self.services.teams.create(first, TeamSpec(name="others"))
        return self.client(created.admin_key)


@contextlib.asynccontextmanager
async def running(database_url: str, settings: RpcSettings | None = None) -> AsyncIterator[Bench]:
    """Runs a server."""
    storage = await SqlStorage.open(database_url)
    adapters, model, feed = BenchAdapters(), ListedModel(answers), Feed()
    orchestrator = EmbeddedOrchestrator(storage.leases, "tests")
    services = services_on(storage, adapters, model, orchestrator, feed)
    key = await ensure_first_team(storage)
    server = await RpcServer.start(services, "127.0.0.1:0", settings)
    await orchestrator.start()
    admin = Client(server.address, key)
    bench = Bench(storage, adapters, model, orchestrator, services, server, admin, [admin])
    try:
        yield bench
    finally:
        for client in bench.clients:
            await client.channel.close()
        await server.stop(timedelta(seconds=1))
        await orchestrator.stop()
        # Calls that were cancelled still end their transactions.
        while others := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(others)
        await storage.close()


def services_on(
    storage: SqlStorage,
    adapters: BenchAdapters,
    model: ListedModel,
    orchestrator: EmbeddedOrchestrator,
    feed: Feed,
) -> Services:
    """All services."""
    runner = SessionRunner(storage, adapters, model, feed, utc_now)
    sessions = SessionService(storage, orchestrator, runner, model=model, feed=feed, clock=utc_now)
    runs = RunService(storage, orchestrator, model, feed, utc_now)
    bootstraps = BootstrapService(storage, model, orchestrator, feed)
    orchestrator.use(play=runner.execute, bootstrap=bootstraps.execute, run=runs.execute)
    credentials = Credentials(storage)
    info = ServerInfo("1.2.3", ("api", "worker"), "listed", True, "embedded", "sqlite", utc_now())
    return Services(
        credentials=credentials,
        agents=AgentService(storage, adapters, orchestrator),
        connections=ConnectionService(storage, adapters),
        personas=PersonaService(storage, model),
        evaluations=EvaluationService(storage, model),
        bootstraps=bootstraps,
        sessions=sessions,
        runs=runs,
        adapters=AdapterService(adapters),
        teams=TeamService(storage),
        api_keys=ApiKeyService(storage, credentials),
        server=ServerService(storage, info, [EffectiveSetting("DATABASE_URL", "", "default")]),
    )


async def until(condition: Callable[[], object]) -> None:
    """Waits for what another task of this process does soon."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - nothing tells when gRPC has ended a call
            await asyncio.sleep(0)


@dataclass
class Refusal:
    """How a call was refused. Empty until it was."""

    code: grpc.StatusCode = grpc.StatusCode.OK
    message: str = ""
    reason: str = ""
    metadata: dict[str, str] | None = None
    fields: tuple[str, ...] = ()
    retry: timedelta | None = None
    trailing: dict[str, Any] | None = None


def refusal_of(error: grpc.aio.AioRpcError) -> Refusal:
    """What a call was refused with."""
    trailing = dict(error.trailing_metadata() or ())
    refusal = Refusal(error.code(), error.details() or "", trailing=trailing)
    status = status_pb2.Status.FromString(trailing.get("grpc-status-details-bin", b""))
    for detail in status.details:
        info, bad, retry = (
            error_details_pb2.ErrorInfo(),
            error_details_pb2.BadRequest(),
            error_details_pb2.RetryInfo(),
        )
        if detail.Unpack(info):
            assert info.domain == "mimic.v1"
            refusal.reason, refusal.metadata = info.reason, dict(info.metadata)
        if detail.Unpack(bad):
            refusal.fields = tuple(violation.field for violation in bad.field_violations)
        if detail.Unpack(retry):
            refusal.retry = retry.retry_delay.ToTimedelta()
    return refusal


@contextlib.contextmanager
def refused(code: grpc.StatusCode, *fields: str, reason: str = "") -> Iterator[Refusal]:
    """Expects a call to be refused, with these violations if any are named."""
    refusal = Refusal()
    try:
        yield refusal
    except grpc.aio.AioRpcError as error:
        refusal.__dict__.update(refusal_of(error).__dict__)
    assert refusal.code is code, refusal
    assert refusal.reason, "every error has ErrorInfo"
    if fields:
        assert refusal.fields == fields, refusal
    if reason:
        assert refusal.reason == reason
