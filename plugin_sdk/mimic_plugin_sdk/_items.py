"""What the host tells an adapter in a conversation, and words that both use."""

import enum
from dataclasses import dataclass
from typing import TypeAlias

from mimic_plugin_sdk._message import Message


@dataclass(frozen=True, slots=True)
class PersonaFace:
    """A persona's public face, as it stands in the platform's profile."""

    display_name: str
    """Name that the agent sees, at most 64 characters."""
    locale: str = "en"
    """BCP 47 language tag, such as "en-GB"."""


@dataclass(frozen=True, slots=True)
class Resume:
    """What the host has stored of a session that another process of this adapter served."""

    epoch: str
    """The epoch of that process."""
    settled_message_ids: tuple[str, ...]
    """Persona messages whose SENT or FAILED is stored, in the order sent."""
    unsettled_message_ids: tuple[str, ...]
    """Persona messages that may or may not have been sent. An adapter that resumes settles each, by
    `Conversation.sent` or `Conversation.failed`; one that cannot tell does not resume."""
    answer_pending: bool
    """True: the agent owed an answer. An adapter that cannot fetch what it said meanwhile does not resume."""


@dataclass(frozen=True, slots=True)
class Send:
    """A message of the persona, to be sent to the agent."""

    message: Message
    """The message."""
    more: bool = False
    """True: further messages of the same turn follow; the agent's turn is not yet expected."""


@dataclass(frozen=True, slots=True)
class PersonaTyping:
    """The persona is typing. Comes only where the manifest declares `typing`."""


@dataclass(frozen=True, slots=True)
class Read:
    """The persona has read the agent's messages up to one. Comes only where `read_receipts` is declared."""

    message_id: str
    """The newest agent message that was read."""


Item: TypeAlias = Send | PersonaTyping | Read
"""What iterating a `Conversation` yields."""


class CloseReason(enum.Enum):
    """Why the host ended a conversation."""

    NOT_TOLD = "NOT_TOLD"
    """It half-closed without a word."""
    DONE = "DONE"
    """The conversation reached its end."""
    CANCELLED = "CANCELLED"
    """Someone cancelled the session."""
    ABANDONED = "ABANDONED"
    """The host gives the attempt up; another may follow."""


class RawDirection(enum.Enum):
    """Which way a raw payload went."""

    TO_AGENT = "TO_AGENT"
    FROM_AGENT = "FROM_AGENT"


class ClosedBy(enum.Enum):
    """Who ended a conversation that the host did not end."""

    AGENT = "AGENT"
    """The agent ended it."""
    PLATFORM = "PLATFORM"
    """The platform ended it."""
