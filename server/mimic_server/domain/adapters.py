"""Adapters: who serves a channel, what it can do, how it is doing; what a conversation is made of."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime, timedelta

from mimic_server.domain.agents import Mode
from mimic_server.domain.faults import Fault
from mimic_server.domain.ids import ConnectionId, MessageId, SessionId
from mimic_server.domain.messages import ChoiceKind, MediaKind, Part, ReceiptStatus, WireTime


@dataclass(frozen=True, slots=True)
class Capabilities:
    """Abilities and limits of an adapter. What is false or empty is never asked of it."""

    resumable: bool = False
    idempotent_send: bool = False
    agent_speaks_first: bool = False
    typing: bool = False
    read_receipts: bool = False
    turn_complete: bool = False
    choices: tuple[ChoiceKind, ...] = ()
    media: tuple[MediaKind, ...] = ()
    voice: bool = False
    max_text_chars: int = 0
    """0: no limit."""
    max_concurrent_sessions: int = 0
    """0: no limit."""
    max_unacked_events: int = 1000
    max_media_bytes: int = 0
    """0: no limit."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """Who an adapter is and what it can do."""

    name: str
    version: str
    channel: str
    description: str
    modes: tuple[Mode, ...]
    capabilities: Capabilities
    settings_schema_json: str
    notices: tuple[str, ...] = ()
    turn_quiet: timedelta = timedelta(seconds=1.5)


class AdapterState(enum.StrEnum):
    """How an adapter process is doing."""

    STOPPED = "STOPPED"
    """Known, not started; the first use starts it."""
    STARTING = "STARTING"
    READY = "READY"
    BACKING_OFF = "BACKING_OFF"
    """It ended; it is started again after a wait."""
    FAILED_TO_STAY_RUNNING = "FAILED_TO_STAY_RUNNING"
    """Its crash budget is spent; it is left alone until someone acts."""
    DISABLED = "DISABLED"
    """Someone switched it off."""
    STOPPING = "STOPPING"


@dataclass(frozen=True, slots=True)
class AdapterStatus:
    """An adapter as the host sees it."""

    channel: str
    state: AdapterState
    reason: str
    """One line: why it is so. Empty when READY."""
    remedy: str
    """One line: what to do. Empty: nothing."""
    restarts: int
    """Since the host started."""
    launched_by: str
    """The command or the attached address."""
    pid: int | None
    """None: attached, or not running."""
    since: datetime
    """When it came into this state, UTC."""
    manifest: Manifest | None
    """None: never been READY."""
    sessions: int = 0
    """Conversations open over it."""


@dataclass(frozen=True, slots=True)
class AdapterLogLine:
    """One line of an adapter's log."""

    channel: str
    level: str
    """trace, debug, info, warn or error."""
    message: str
    time: datetime
    session_id: str = ""
    fields: tuple[tuple[str, str], ...] = ()
    """Further keys and values, as text."""


class ConnectionState(enum.StrEnum):
    """State of a connection."""

    CONNECTING = "CONNECTING"
    READY = "READY"
    DEGRADED = "DEGRADED"
    BAD_CREDENTIALS = "BAD_CREDENTIALS"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class ConnectionStatus:
    """State of one connection, and what the operator should do."""

    connection_id: ConnectionId
    state: ConnectionState
    reason: str = ""
    remedy: str = ""
    took_ms: float | None = None
    """How long a probe took. None: it was not a probe."""


@dataclass(frozen=True, slots=True)
class AgentSetting:
    """One thing that an agent's author sets to reach a connection."""

    name: str
    value: str
    secret: bool = False
    description: str = ""
    env_var: str = ""


@dataclass(frozen=True, slots=True)
class Connected:
    """What bringing a connection up answered."""

    status: ConnectionStatus
    agent_settings: tuple[AgentSetting, ...] = ()


# -- A conversation over an adapter -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Resume:
    """What is stored of a conversation that goes on."""

    epoch: str
    last_seq: int
    settled_message_ids: tuple[MessageId, ...]
    unsettled_message_ids: tuple[MessageId, ...]
    answer_pending: bool


@dataclass(frozen=True, slots=True)
class Open:
    """Begins a conversation, or goes on with one."""

    session_id: SessionId
    attempt: int
    connection_id: ConnectionId
    display_name: str
    locale: str
    seed: int
    capture_raw: bool = False
    resume: Resume | None = None


@dataclass(frozen=True, slots=True)
class Opened:
    """The conversation is ready."""

    epoch: str
    conversation_ref: str
    resumed: bool


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    """A message of the persona on its way to the agent."""

    id: MessageId
    parts: tuple[Part, ...]
    in_reply_to: str = ""
    more: bool = False
    """True: further messages of the same turn follow."""


@dataclass(frozen=True, slots=True)
class ReceiptEvent:
    """What became of a message of the persona."""

    seq: int
    message_id: MessageId
    status: ReceiptStatus
    time: WireTime
    fault: Fault | None = None


@dataclass(frozen=True, slots=True)
class MessageEvent:
    """The agent said something, changed it or took it back."""

    seq: int
    id: MessageId
    parts: tuple[Part, ...]
    first_byte: WireTime
    last_byte: WireTime
    in_reply_to: str = ""
    replaces: str = ""
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class TypingEvent:
    """The agent is typing."""

    seq: int


@dataclass(frozen=True, slots=True)
class TurnCompleteEvent:
    """The agent has finished its turn."""

    seq: int
    message_id: str = ""
    """The persona's last message of the turn that is over. Empty: the turn under way."""


@dataclass(frozen=True, slots=True)
class RawEvent:
    """What went over the channel's wire."""

    seq: int
    to_agent: bool
    payload: str
    time: WireTime
    label: str = ""
    fault: Fault | None = None


class ClosedBy(enum.StrEnum):
    """Who ended a conversation."""

    HOST = "HOST"
    AGENT = "AGENT"
    PLATFORM = "PLATFORM"


@dataclass(frozen=True, slots=True)
class ClosedEvent:
    """The conversation is over. Nothing follows."""

    seq: int
    by: ClosedBy
    reason: str = ""
    fault: Fault | None = None


AdapterEvent = ReceiptEvent | MessageEvent | TypingEvent | TurnCompleteEvent | RawEvent | ClosedEvent


class CloseReason(enum.StrEnum):
    """Why the host ends a conversation."""

    DONE = "DONE"
    CANCELLED = "CANCELLED"
    ABANDONED = "ABANDONED"
