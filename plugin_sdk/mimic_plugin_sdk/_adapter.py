"""The class that an adapter's author writes."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Generic, get_args, get_origin

from pydantic import BaseModel

from mimic_plugin_sdk._connection import (
    AgentSetting,
    Connection,
    ConnectionState,
    ConnectionStatus,
    SettingsT,
)
from mimic_plugin_sdk._conversation import Conversation
from mimic_plugin_sdk._manifest import Manifest


class Adapter(ABC, Generic[SettingsT]):
    """Serves one channel. Subclass it as `Adapter[YourSettings]`, set `manifest`, and pass it to `serve`.

    One instance serves the whole process, in one event loop. What a method raises reaches the host as a
    status: `FaultError` and its kin with the fault that they carry, anything else as a defect of the adapter,
    whose traceback goes to the log alone.
    """

    manifest: ClassVar[Manifest]
    """Who it is and what it can do."""

    settings_type: ClassVar[type[BaseModel]]
    """The model of a connection's settings. Taken from `Adapter[YourSettings]`."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Find the settings model in the subclass's bases."""
        super().__init_subclass__(**kwargs)
        for base in getattr(cls, "__orig_bases__", ()):
            origin = get_origin(base)
            if isinstance(origin, type) and issubclass(origin, Adapter):
                argument = get_args(base)[0]
                if isinstance(argument, type) and issubclass(argument, BaseModel):
                    cls.settings_type = argument

    async def start(self) -> None:
        """Prepare what all connections share. Called once, in the event loop, before the host is answered.

        Keep it quick: the host waits for it. By default does nothing.
        """

    async def stop(self) -> None:
        """Undo `start`. Called once, after the last conversation and connection have ended, within 5 s."""

    async def connect(self, connection: Connection[SettingsT]) -> Sequence[AgentSetting]:
        """Bring a connection up.

        Called once for each connection; the SDK answers repeats itself, and calls `disconnect` first when the
        settings changed. The connection is READY when this returns, unless `connection.set_state` said else.

        Args:
            connection: The connection, its settings checked against the model.

        Returns:
            What the agent's author has to set to reach it; by default nothing.

        Raises:
            SettingsError: The settings cannot work.
            CredentialsRefused: The platform refuses the credentials.
            Unreachable: The platform or the agent does not answer.
        """
        del connection
        return ()

    async def disconnect(self, connection: Connection[SettingsT]) -> None:
        """Undo `connect`, after the connection's conversations have ended. By default does nothing.

        Args:
            connection: As given to `connect`, also when that raised.
        """

    async def check(self, connection: Connection[SettingsT]) -> ConnectionStatus:
        """Probe a connection (credentials, reachability) without beginning a conversation.

        Args:
            connection: A connection that is up.

        Returns:
            What the probe found; by default READY. `CredentialsRefused` and `Unreachable` may be raised too.
        """
        del connection
        return ConnectionStatus(ConnectionState.READY)

    @abstractmethod
    async def converse(self, conversation: Conversation[SettingsT]) -> None:
        """Hold one conversation: iterate it for what the persona says, and call it with what happens.

        Return when the iteration has ended and the channel is tidied up: 4 s after the end the coroutine is
        cancelled. Also cancelled when the connection goes, the process drains, or the host has been
        away for 60 s.

        Args:
            conversation: The conversation.

        Raises:
            FaultError: The conversation cannot go on.
        """
