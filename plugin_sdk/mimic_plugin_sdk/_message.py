"""Messages and the pieces they are made of, for both directions."""

import enum
from dataclasses import dataclass
from typing import TypeAlias


class MediaKind(enum.Enum):
    """What a file is to the person who gets it."""

    UNKNOWN = "UNKNOWN"
    """Not told; receivers judge by the MIME type."""
    IMAGE = "IMAGE"
    AUDIO = "AUDIO"
    VIDEO = "VIDEO"
    DOCUMENT = "DOCUMENT"
    STICKER = "STICKER"


class ChoiceKind(enum.Enum):
    """How a choice is shown."""

    BUTTON = "BUTTON"
    """A button under a message."""
    LIST = "LIST"
    """A row of a list that opens."""
    QUICK_REPLY = "QUICK_REPLY"
    """A quick reply that goes away once taken; taking it says its title."""
    LINK = "LINK"
    """A link that opens an address; taking it sends nothing to the agent."""


@dataclass(frozen=True, slots=True)
class Text:
    """Plain or marked-up text."""

    text: str
    """The text; never empty."""
    markup: str = ""
    """"markdown", "html", "telegram-markdown-v2", "whatsapp" or "ssml". Empty: plain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Media:
    """A file, by its bytes, by an address, or by an id. At most one of the three is set."""

    kind: MediaKind = MediaKind.UNKNOWN
    """What the file is to the receiver."""
    mime_type: str = ""
    """MIME type, such as "image/png". Empty: unknown."""
    name: str = ""
    """File name without a path. Empty: none."""
    size_bytes: int = 0
    """Size in bytes. 0: unknown."""
    data: bytes | None = None
    """The bytes. An agent's file of more than 1 MiB is turned into an offer by the SDK."""
    uri: str = ""
    """An http, https or data address that the receiver can read."""
    media_id: str = ""
    """An id made by `Conversation.offer_media`. Never set in what the persona sends."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One thing that the receiver may choose."""

    id: str
    """The platform's id of the choice (callback data, custom id, payload)."""
    title: str
    """What a person reads on it."""
    kind: ChoiceKind = ChoiceKind.BUTTON
    """How it is shown."""
    description: str = ""
    """Longer text beside the title. Empty: none."""
    uri: str = ""
    """Address that a LINK opens. Empty for other kinds."""


@dataclass(frozen=True, slots=True)
class ChoicesOffered:
    """Choices offered to the receiver of a message."""

    choices: tuple[Choice, ...]
    """The choices in the order shown; at least one."""
    label: str = ""
    """What opens a list, such as "Menu". Empty: no such label."""


@dataclass(frozen=True, slots=True)
class ChoiceTaken:
    """A choice that the sender took."""

    choice_id: str
    """The choice's id as it was offered."""
    message_id: str = ""
    """Id of the message that offered it. Empty: the channel does not tell."""
    title: str = ""
    """The choice's title, for readers."""


@dataclass(frozen=True, slots=True)
class Speech:
    """Something said aloud, as text."""

    text: str
    """What was said, transcribed."""
    confidence: float | None = None
    """Recognition confidence from 0 to 1. None: unknown."""
    language: str = ""
    """BCP 47 language tag. Empty: the session's."""
    interrupted_after_ms: int | None = None
    """Milliseconds after which the listener cut in. None: heard to the end."""


@dataclass(frozen=True, slots=True)
class Dtmf:
    """Keys pressed on a telephone."""

    digits: str
    """Of 0-9, *, #, A-D and w (a pause of half a second)."""


@dataclass(frozen=True, slots=True)
class Location:
    """A place."""

    latitude: float
    """Degrees north, WGS 84."""
    longitude: float
    """Degrees east, WGS 84."""
    name: str = ""
    """What the place is called. Empty: unnamed."""
    address: str = ""
    """Postal address in one line. Empty: none."""


@dataclass(frozen=True, slots=True)
class Reaction:
    """A reaction to an earlier message."""

    message_id: str
    """The message reacted to."""
    emoji: str = ""
    """The emoji. Empty: the reaction was taken back."""


@dataclass(frozen=True, slots=True)
class Card:
    """A platform's component that has no kind of its own, kept so that nothing an agent said is lost."""

    text: str
    """What a person would read on it."""
    type: str = ""
    """The platform's name of the component, such as "discord.embed"."""
    raw_json: str = ""
    """The component as the platform has it: JSON."""


Part: TypeAlias = Text | Media | ChoicesOffered | ChoiceTaken | Speech | Dtmf | Location | Reaction | Card
"""A piece of a message."""


@dataclass(frozen=True, slots=True)
class Message:
    """One contribution of the persona, as the adapter is to send it."""

    id: str
    """The host's id of it, and its idempotency key."""
    parts: tuple[Part, ...]
    """What it says, in order. Kinds that this SDK does not know were left out and named in the log."""
    in_reply_to: str = ""
    """Id of the message that it answers. Empty: none in particular."""
    replaces: str = ""
    """Id of the persona's message that it replaces (an edit). Empty: it is new."""
    deleted: bool = False
    """True: the persona takes back the message named by `replaces`; `parts` is empty."""

    @property
    def text(self) -> str:
        """What a person would read or say: texts, speech and titles of choices taken, a line each."""
        parts = self.parts
        if len(parts) == 1 and isinstance(parts[0], Text):
            return parts[0].text
        return "\n".join(filter(None, map(_readable, parts)))


def _readable(part: Part) -> str:
    if isinstance(part, Text | Speech | Card):
        return part.text
    if isinstance(part, ChoiceTaken):
        return part.title
    if isinstance(part, Dtmf):
        return part.digits
    return ""
