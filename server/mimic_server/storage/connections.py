"""Connections of an agent, as they are stored: the only place that reads and writes their settings."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import JSON, Dialect, TypeDecorator

from mimic_server.domain.agents import Connection

_Connections = TypeAdapter(tuple[Connection, ...])


def encode_connections(connections: tuple[Connection, ...]) -> str:
    """Connections, settings included, as the text that is stored."""
    return _Connections.dump_json(connections, by_alias=True).decode()


def decode_connections(stored: str) -> tuple[Connection, ...]:
    """Connections from the text that is stored."""
    return _Connections.validate_json(stored)


class Connections(TypeDecorator[tuple[Connection, ...]]):
    """An agent's connections."""

    impl = JSON
    cache_ok = True

    def process_bind_param(self, value: tuple[Connection, ...] | None, dialect: Dialect) -> Any:
        return None if value is None else encode_connections(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> tuple[Connection, ...] | None:
        return None if value is None else decode_connections(value)
