"""A connection: an agent reached through this adapter with given settings."""

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from pydantic import BaseModel

from mimic_plugin_sdk._manifest import Mode

SettingsT = TypeVar("SettingsT", bound=BaseModel)
"""The adapter's model of a connection's settings."""


class ConnectionState(enum.Enum):
    """State of a connection."""

    CONNECTING = "CONNECTING"
    """Coming up."""
    READY = "READY"
    """Sessions can begin."""
    DEGRADED = "DEGRADED"
    """Works in part, or with delay."""
    BAD_CREDENTIALS = "BAD_CREDENTIALS"
    """The platform refuses the credentials: someone has to change them."""
    FAILED = "FAILED"
    """Down; the reason says why."""


@dataclass(frozen=True, slots=True)
class ConnectionStatus:
    """State of a connection, and what to do about it. Secrets of the settings are redacted on the way out."""

    state: ConnectionState
    """The state."""
    reason: str = ""
    """One line: why it is so. Empty when READY."""
    remedy: str = ""
    """One line: what the operator should do. Empty: nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSetting:
    """One thing that the agent's author sets to reach a connection."""

    name: str
    """Name for people, such as "Bot API base URL"."""
    value: str
    """The value."""
    secret: bool = False
    """True: the value is a secret; it is shown only where asked."""
    description: str = ""
    """One line: what it is and where it goes."""
    env_var: str = ""
    """The usual environment variable, such as "TELEGRAM_API_BASE". Empty: no usual one."""


class Connection(Generic[SettingsT]):
    """One connection that is up, or coming up. Made by the SDK, one for each successful check of settings."""

    __slots__ = ("_changed", "_status", "id", "mode", "settings")

    id: str
    """The host's id of the connection."""
    mode: Mode
    """One of the manifest's modes."""
    settings: SettingsT
    """The settings, checked. Every `SecretStr` and `SecretBytes` in them is redacted from logs, faults and
    raw payloads; use `get_secret_value()` only where it goes out to the platform."""

    def __init__(
        self,
        connection_id: str,
        mode: Mode,
        settings: SettingsT,
        changed: Callable[["Connection[SettingsT]"], None] = lambda _: None,
    ) -> None:
        """Make a connection, in state CONNECTING.

        Args:
            connection_id: The host's id of it.
            mode: One of the manifest's modes.
            settings: The settings, checked.
            changed: Called after each change of the status.
        """
        self.id = connection_id
        self.mode = mode
        self.settings = settings
        self._changed = changed
        self._status = ConnectionStatus(ConnectionState.CONNECTING)

    @property
    def status(self) -> ConnectionStatus:
        """Its state as last set. READY once `Adapter.connect` has returned, unless that set another."""
        return self._status

    def set_state(self, state: ConnectionState, reason: str = "", remedy: str = "") -> None:
        """Tell the host that the connection's state is now another. Cheap; the same state again says nothing.

        Args:
            state: The state.
            reason: One line: why it is so.
            remedy: One line: what the operator should do.
        """
        status = ConnectionStatus(state, reason, remedy)
        if status != self._status:
            self._status = status
            self._changed(self)
