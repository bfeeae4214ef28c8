"""The gRPC server: every service of mimic.v1, health and reflection."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Self

import grpc
from grpc_health.v1 import health, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from mimic.v1 import (
    adapters_pb2,
    agents_pb2,
    bootstraps_pb2,
    evaluations_pb2,
    personas_pb2,
    runs_pb2,
    server_pb2,
    sessions_pb2,
    teams_pb2,
)

from mimic_server.domain.errors import PreconditionError
from mimic_server.rpc.about import ServerServicer
from mimic_server.rpc.adapters import AdapterAdminServicer
from mimic_server.rpc.agents import AgentServicer
from mimic_server.rpc.api_keys import ApiKeyServicer
from mimic_server.rpc.bootstraps import BootstrapServicer
from mimic_server.rpc.calls import CallGuard
from mimic_server.rpc.evaluations import EvaluationServicer
from mimic_server.rpc.personas import PersonaServicer
from mimic_server.rpc.runs import RunServicer
from mimic_server.rpc.sessions import SessionServicer
from mimic_server.rpc.state import ServerState
from mimic_server.rpc.teams import TeamServicer
from mimic_server.services.adapters import AdapterService
from mimic_server.services.agents import AgentService
from mimic_server.services.api_keys import ApiKeyService
from mimic_server.services.bootstraps import BootstrapService
from mimic_server.services.connections import ConnectionService
from mimic_server.services.credentials import Credentials
from mimic_server.services.evaluations import EvaluationService
from mimic_server.services.personas import PersonaService
from mimic_server.services.runs import RunService
from mimic_server.services.server import ServerService
from mimic_server.services.sessions import SessionService
from mimic_server.services.teams import TeamService


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Everything that calls are answered by."""

    agents: AgentService
    connections: ConnectionService
    personas: PersonaService
    evaluations: EvaluationService
    bootstraps: BootstrapService
    sessions: SessionService
    runs: RunService
    adapters: AdapterService
    teams: TeamService
    api_keys: ApiKeyService
    server: ServerService
    credentials: Credentials


@dataclass(frozen=True, slots=True, kw_only=True)
class RpcSettings:
    """Limits of the server, and how it is reached."""

    max_request_bytes: int = 16 * 2**20
    """Largest request. Answers have no limit but their page size."""
    max_streams_a_connection: int = 10_000
    """Calls at once over one connection; a client waits with the next."""
    max_calls: int = 20_000
    """Calls at once, streams included; the next is refused with RESOURCE_EXHAUSTED."""
    tls: grpc.ServerCredentials | None = None
    """None: plaintext."""


class RpcServer:
    """A server that listens.

    Attributes:
        address: host:port.
    """

    def __init__(self, server: grpc.aio.Server, state: ServerState, address: str) -> None:
        self._server = server
        self._state = state
        self.address = address

    @classmethod
    async def start(cls, services: Services, address: str, settings: RpcSettings | None = None) -> Self:
        """Starts a server.

        Args:
            services: What calls are answered by.
            address: Where it listens, such as `127.0.0.1:50051`; port 0 takes a free one.
            settings: None: the defaults.

        Raises:
            PreconditionError: The address cannot be used.
        """
        settings = settings or RpcSettings()
        state = ServerState()
        server = build_server(services, state, settings)
        try:
            port = (
                server.add_insecure_port(address)
                if settings.tls is None
                else server.add_secure_port(address, settings.tls)
            )
        except RuntimeError:
            raise PreconditionError(
                "ADDRESS_UNUSABLE",
                f"the server cannot listen at {address}: is another one there? Stop it, or name another port",
            ) from None
        await server.start()
        return cls(server, state, f"{address.rpartition(':')[0]}:{port}")

    async def drain(self) -> None:
        """Refuses new work from now on, and says so in its health; what reads is still answered."""
        await self._state.drain()

    async def stop(self, grace: timedelta = timedelta(seconds=5)) -> None:
        """Ends streams, so that their readers ask another server, waits for other calls, and stops.

        Args:
            grace: How long calls under way may take; what is not over by then is cancelled.
        """
        await self.drain()
        self._state.end_streams()
        await self._server.stop(grace.total_seconds())


def build_server(services: Services, state: ServerState, settings: RpcSettings) -> grpc.aio.Server:
    """Puts the server together. It listens nowhere yet and is not started."""
    server = grpc.aio.server(
        options=[
            ("grpc.max_receive_message_length", settings.max_request_bytes),
            ("grpc.max_send_message_length", -1),
            ("grpc.max_concurrent_streams", settings.max_streams_a_connection),
            # Two servers must not share a port unknown to each other.
            ("grpc.so_reuseport", 0),
            # Watchers may be silent for long: their clients may ask whether we are still there.
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
        ]
    )
    guard = CallGuard(services.credentials, state, settings.max_calls)
    served: dict[Any, dict[str, object]] = {
        agents_pb2: {"AgentService": AgentServicer(services.agents, services.connections)},
        personas_pb2: {"PersonaService": PersonaServicer(services.personas)},
        evaluations_pb2: {"EvaluationService": EvaluationServicer(services.evaluations)},
        bootstraps_pb2: {"BootstrapService": BootstrapServicer(services.bootstraps)},
        sessions_pb2: {"SessionService": SessionServicer(services.sessions)},
        runs_pb2: {"RunService": RunServicer(services.runs)},
        adapters_pb2: {"AdapterAdminService": AdapterAdminServicer(services.adapters)},
        teams_pb2: {
            "TeamService": TeamServicer(services.teams),
            "ApiKeyService": ApiKeyServicer(services.api_keys),
        },
        server_pb2: {"ServerService": ServerServicer(services.server)},
    }
    names = [health.SERVICE_NAME, reflection.SERVICE_NAME]
    for module, servicers in served.items():
        for name, servicer in servicers.items():
            service = module.DESCRIPTOR.services_by_name[name]
            server.add_registered_method_handlers(service.full_name, guard.handlers(service, servicer))
            names.append(service.full_name)
    health_pb2_grpc.add_HealthServicer_to_server(state.health, server)
    reflection.enable_server_reflection(names, server)
    return server
