"""An agent that is connected: its client, and how it is probed."""

import contextlib
import uuid

from mimic_plugin_sdk import (
    Connection,
    ConnectionState,
    ConnectionStatus,
    Conversation,
    CredentialsRefused,
    Fault,
    FaultError,
    PersonaFace,
    RawDirection,
    WireTime,
)

from mimic_adapter_websocket import faults
from mimic_adapter_websocket.frames import Meaning
from mimic_adapter_websocket.hello import Greeter
from mimic_adapter_websocket.link import Link, NotWrittenError, Socket, SocketLost
from mimic_adapter_websocket.presets import with_preset
from mimic_adapter_websocket.profile import compile_profile, secrets_of
from mimic_adapter_websocket.settings import WebSocketSettings
from mimic_adapter_websocket.talk import Talk, first_values
from mimic_adapter_websocket.templates import TemplateFaultError


class Upstream:
    """One connection that is up."""

    def __init__(self, connection: Connection[WebSocketSettings]) -> None:
        """Bring it up; nothing is asked of the agent yet.

        Args:
            connection: The connection.

        Raises:
            SettingsError: Its settings cannot work.
        """
        settings = with_preset(connection.settings)
        self._profile = compile_profile(settings)
        self._link = Link(connection, self._profile, secrets_of(settings))

    async def close(self) -> None:
        """Take it down."""
        await self._link.close()

    async def converse(self, conversation: Conversation[WebSocketSettings]) -> None:
        """Hold a conversation.

        Args:
            conversation: The host's side.

        Raises:
            FaultError: It cannot begin.
        """
        await Talk(conversation, self._link, self._profile).run()

    async def check(self) -> ConnectionStatus:
        """Open a socket, say hello as in a conversation of its own, and close it."""
        values = first_values(self._profile.settings, str(uuid.uuid4()), 1, PersonaFace("Mimic"))
        try:
            socket = await self._link.open(self._profile.handshake.fill(values, again=False))
            try:
                greeter = Greeter(self._profile, self._link.excerpts)
                await greeter.greet(socket, self._profile.hello, values, _Deaf())
                if self._profile.bye is not None:
                    with contextlib.suppress(NotWrittenError, SocketLost):
                        await socket.send(self._profile.bye.fill(values))
            finally:
                await socket.close()
        except FaultError as error:
            return self._status(error)
        except TemplateFaultError as error:
            return self._status(FaultError(faults.channel("TEMPLATE_FAILED", str(error))))
        self._link.well()
        return ConnectionStatus(ConnectionState.READY)

    def _status(self, error: FaultError) -> ConnectionStatus:
        fault = self._link.failed(error).fault
        refused = isinstance(error, CredentialsRefused)
        state = ConnectionState.BAD_CREDENTIALS if refused else ConnectionState.FAILED
        return ConnectionStatus(state, fault.message, fault.remedy)


class _Deaf:
    """Listens to nothing: a probe has no conversation."""

    def raw(
        self,
        direction: RawDirection,
        payload: str | bytes,
        time: WireTime | None = None,
        *,
        label: str = "",
        fault: Fault | None = None,
    ) -> None:
        pass

    async def hear(self, socket: Socket, meaning: Meaning, at: WireTime) -> None:
        pass
