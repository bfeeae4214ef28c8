"""Who an adapter is and what it can do, as data."""

import enum
from dataclasses import dataclass
from datetime import timedelta

from mimic_plugin_sdk._message import ChoiceKind, MediaKind


class Mode(enum.Enum):
    """How an adapter stands towards the platform."""

    LIVE = "LIVE"
    """The adapter is a customer on the real platform."""
    EMULATOR = "EMULATOR"
    """The adapter is the platform, towards an unmodified bot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """Abilities and limits. What is false or empty is never asked of the adapter."""

    resumable: bool = True
    """A session may go on over another stream. The SDK does this within the process, for 60 s; in a restarted
    one `Adapter.converse` is asked (see `Conversation.resume`). False: a broken stream ends the session."""
    idempotent_send: bool = True
    """A Send with an id already seen sends nothing and repeats its receipts. The SDK does this."""
    agent_speaks_first: bool = False
    """The agent may say the first word."""
    typing: bool = False
    """The persona's typing can be shown to the agent: `PersonaTyping` items come."""
    read_receipts: bool = False
    """The persona can mark the agent's messages as read: `Read` items come."""
    turn_complete: bool = False
    """`Conversation.turn_complete` is called after each turn of the agent."""
    choices: tuple[ChoiceKind, ...] = ()
    """Kinds of choices that the persona may take."""
    media: tuple[MediaKind, ...] = ()
    """Kinds of files that the persona may send."""
    voice: bool = False
    """The conversation is a call: speech and DTMF."""
    max_text_chars: int = 0
    """Longest text of one message, in Unicode code points. 0: no limit of the channel's."""
    max_concurrent_sessions: int = 0
    """Most sessions at once over one process; the SDK refuses more. 0: no limit but the machine's."""
    max_unacked_events: int = 256
    """Most events that a session holds before the host has stored them, at least 1. At the limit the awaited
    calls of `Conversation` wait, so that the adapter stops reading from its channel."""
    max_media_bytes: int = 0
    """Largest file that the persona may send, in bytes. 0: no limit of the channel's."""

    def __post_init__(self) -> None:
        """Refuse what could hold no conversation.

        Raises:
            ValueError: max_unacked_events is less than 1.
        """
        if self.max_unacked_events < 1:
            raise ValueError("max_unacked_events has to be at least 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """Who an adapter is. The settings' JSON Schema is made from the adapter's settings model."""

    name: str
    """The executable's name, "mimic-adapter-" and the channel."""
    version: str
    """The adapter's own version, such as "1.4.0"."""
    channel: str
    """The channel that it serves: lower case letters, digits and hyphens."""
    description: str
    """One sentence for people."""
    modes: tuple[Mode, ...] = (Mode.LIVE,)
    """The modes that it has, the default first."""
    capabilities: Capabilities = Capabilities()
    """What it can do, and within which limits."""
    notices: tuple[str, ...] = ()
    """What an operator has to know, a line each."""
    turn_quiet: timedelta | None = None
    """Quiet time after which the agent's turn is over, where `turn_complete` does not come.
    None: the host's default, 1.5 s."""
