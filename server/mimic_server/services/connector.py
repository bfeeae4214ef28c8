"""Connections as the adapters see them, and as callers may see them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace

from mimic_server.domain.adapters import Connected, ConnectionState, ConnectionStatus
from mimic_server.domain.agents import Agent, Connection
from mimic_server.domain.errors import FaultError, InvalidInputError, MimicError, NotFoundError
from mimic_server.domain.ports import Adapters
from mimic_server.services.secrets import SecretSchema
from mimic_server.services.violations import under

_MANIFEST_SECONDS = 5
"""How long an answer waits for an adapter that has never run, to know which settings are secrets."""
_ASK_AGAIN_SECONDS = 10
"""How long an adapter that did not tell is not asked again, so that a listing waits for it once."""


class Connector:
    """Brings connections up and down, and hides their secrets."""

    def __init__(self, adapters: Adapters) -> None:
        self._adapters = adapters
        self._schemas: dict[str, SecretSchema] = {}
        self._silent_until: dict[str, float] = {}

    async def connect(self, connection: Connection, at: str) -> Connected:
        """Brings a connection up, or leaves it up.

        Args:
            connection: With its secrets.
            at: Path of the connection in the caller's request.

        Raises:
            InvalidInputError: The adapter refuses the settings, or no adapter serves the channel.
            FaultError: The adapter does not start, or the platform refuses or cannot be reached.
        """
        try:
            return await self._adapters.connect(connection)
        except InvalidInputError as error:
            raise under(at, error) from None
        except NotFoundError:
            channel = connection.spec.channel
            served = ", ".join(sorted(status.channel for status in self._adapters.statuses())) or "none"
            raise InvalidInputError.of(
                f"{at}.channel", f'no adapter serves "{channel}"; there is: {served}'
            ) from None

    async def setup(self, connection: Connection) -> Connected:
        """How a stored connection is, brought up if need be. What fails is in the answer."""
        try:
            return await self.connect(connection, "connection")
        except MimicError as error:
            return Connected(failed(connection, error))

    async def drop(self, connections: Iterable[Connection]) -> None:
        """Takes connections down as far as it can be done; done even if the caller goes away meanwhile."""

        async def drop_all() -> None:
            for connection in connections:
                with suppress(MimicError):
                    await self._adapters.disconnect(connection.spec.channel, connection.id)

        await asyncio.shield(drop_all())

    async def hidden(self, agent: Agent) -> Agent:
        """The agent with the secrets of its connections as `[stored]`."""
        if not agent.connections:
            return agent
        return replace(agent, connections=tuple([await self._hidden(c) for c in agent.connections]))

    async def _hidden(self, connection: Connection) -> Connection:
        schema = await self._schema(connection.spec.channel)
        spec = connection.spec.model_copy(update={"settings": schema.hide(connection.spec.settings)})
        return replace(connection, spec=spec)

    async def _schema(self, channel: str) -> SecretSchema:
        """What is secret in a channel's settings; everything, where the adapter cannot be asked."""
        manifest = next((s.manifest for s in self._adapters.statuses() if s.channel == channel), None)
        if manifest is None:
            if time.monotonic() < self._silent_until.get(channel, 0):
                return SecretSchema(None)
            try:
                async with asyncio.timeout(_MANIFEST_SECONDS):
                    manifest = await self._adapters.manifest(channel)
            except (MimicError, TimeoutError):
                self._silent_until[channel] = time.monotonic() + _ASK_AGAIN_SECONDS
                return SecretSchema(None)
        key = manifest.settings_schema_json
        if key not in self._schemas:
            self._schemas[key] = SecretSchema(key)
        return self._schemas[key]


def failed(connection: Connection, error: MimicError) -> ConnectionStatus:
    """The state of a connection that could not be brought up."""
    refused = isinstance(error, FaultError) and "CREDENTIALS" in error.reason
    fault = error.fault if isinstance(error, FaultError) else None
    return ConnectionStatus(
        connection.id,
        ConnectionState.BAD_CREDENTIALS if refused else ConnectionState.FAILED,
        fault.message if fault else error.message,
        fault.remedy if fault else "",
    )
