"""Agents and their connections."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from google.protobuf.struct_pb2 import Struct
from mimic.adapter.v1 import adapter_pb2
from mimic.v1 import agents_pb2 as pb

from mimic_server.domain.adapters import Connected, ConnectionStatus
from mimic_server.domain.agents import Agent, AgentSpec, Connection, ConnectionSpec
from mimic_server.rpc.convert import requests
from mimic_server.rpc.convert.enums import CONNECTION_STATE, MODE
from mimic_server.rpc.convert.values import timestamp

FIXED = frozenset({"id", "connections", "create_time", "update_time", "etag"})
"""Fields of an agent that callers do not write."""


def read_agent(proto: pb.Agent, at: str) -> AgentSpec:
    """Raises InvalidInputError."""
    return AgentSpec.parse(requests.values(proto, at, leave=FIXED), at)


def read_connection(proto: pb.Connection, at: str) -> ConnectionSpec:
    """Raises InvalidInputError."""
    return ConnectionSpec.parse(requests.values(proto, at, leave=("id",)), at)


def agent(domain: Agent) -> pb.Agent:
    """An agent, secrets hidden already."""
    return pb.Agent(
        id=str(domain.id),
        name=domain.spec.name,
        description=domain.spec.description,
        platform=domain.spec.platform,
        version=domain.spec.version,
        connections=map(connection, domain.connections),
        create_time=timestamp(domain.created_at),
        update_time=timestamp(domain.updated_at),
        etag=str(domain.etag),
    )


def connection(domain: Connection) -> pb.Connection:
    """A connection, secrets hidden already."""
    settings = Struct()
    settings.update(_plain(domain.spec.settings))
    return pb.Connection(
        id=str(domain.id),
        channel=domain.spec.channel,
        mode=MODE.write(domain.spec.mode),
        settings=settings,
    )


def setup(connected: Connected) -> pb.ConnectionSetup:
    """How a connection came up."""
    return pb.ConnectionSetup(
        status=status(connected.status),
        agent_settings=[
            adapter_pb2.AgentSetting(
                name=setting.name,
                value=setting.value,
                secret=setting.secret,
                description=setting.description,
                env_var=setting.env_var,
            )
            for setting in connected.agent_settings
        ],
    )


def setups(connected: Iterable[Connected]) -> list[pb.ConnectionSetup]:
    """How connections came up."""
    return [setup(one) for one in connected]


def status(domain: ConnectionStatus) -> adapter_pb2.ConnectionStatus:
    """State of a connection."""
    return adapter_pb2.ConnectionStatus(
        connection_id=str(domain.connection_id),
        state=CONNECTION_STATE.write(domain.state),
        reason=domain.reason,
        remedy=domain.remedy,
    )


def _plain(value: Any) -> Any:
    """Settings as dictionaries and lists, which alone a Struct takes."""
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
