"""Messages: what persona and agent say to each other, and when it crossed the wire."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, TypeAdapter

from mimic_server.domain.faults import Fault
from mimic_server.domain.ids import MessageId, SessionId


class Sender(enum.StrEnum):
    """Who said it."""

    PERSONA = "PERSONA"
    AGENT = "AGENT"


class ReceiptStatus(enum.StrEnum):
    """What became of a message of the persona."""

    SENT = "SENT"
    DELIVERED = "DELIVERED"
    READ = "READ"
    FAILED = "FAILED"


class MediaKind(enum.StrEnum):
    """What a file is to the person who gets it."""

    IMAGE = "IMAGE"
    AUDIO = "AUDIO"
    VIDEO = "VIDEO"
    DOCUMENT = "DOCUMENT"
    STICKER = "STICKER"


class ChoiceKind(enum.StrEnum):
    """How a choice is shown."""

    BUTTON = "BUTTON"
    LIST = "LIST"
    QUICK_REPLY = "QUICK_REPLY"
    LINK = "LINK"


@dataclass(frozen=True, slots=True)
class Text:
    """Text of a message."""

    text: str
    markup: str = ""
    """How it is marked up, such as "markdown". Empty: plain."""
    kind: Literal["text"] = "text"


@dataclass(frozen=True, slots=True)
class Media:
    """A file, by its bytes, an address, or the adapter's id of it."""

    media_kind: MediaKind | None = None
    """None: not told; judge by the MIME type."""
    mime_type: str = ""
    name: str = ""
    size_bytes: int = 0
    """0: unknown."""
    data: bytes | None = None
    """The bytes, at most 1 MiB. None: see `uri` and `media_id`."""
    uri: str = ""
    media_id: str = ""
    kind: Literal["media"] = "media"


@dataclass(frozen=True, slots=True)
class Choice:
    """One thing that the receiver may choose."""

    id: str
    title: str = ""
    choice_kind: ChoiceKind = ChoiceKind.BUTTON
    description: str = ""
    uri: str = ""


@dataclass(frozen=True, slots=True)
class ChoicesOffered:
    """Choices offered to the receiver of a message."""

    choices: tuple[Choice, ...]
    label: str = ""
    kind: Literal["choices_offered"] = "choices_offered"


@dataclass(frozen=True, slots=True)
class ChoiceTaken:
    """A choice that the sender took."""

    choice_id: str
    message_id: str = ""
    """Id of the message that offered it. Empty: the channel does not tell."""
    title: str = ""
    kind: Literal["choice_taken"] = "choice_taken"


@dataclass(frozen=True, slots=True)
class Speech:
    """Something said aloud, transcribed."""

    text: str
    confidence: float | None = None
    """From 0 to 1. None: unknown."""
    language: str = ""
    interrupted_after_ms: int | None = None
    """None: heard to the end."""
    kind: Literal["speech"] = "speech"


@dataclass(frozen=True, slots=True)
class Dtmf:
    """Keys pressed on a telephone."""

    digits: str
    kind: Literal["dtmf"] = "dtmf"


@dataclass(frozen=True, slots=True)
class Location:
    """A place; degrees on WGS 84."""

    latitude: float
    longitude: float
    name: str = ""
    address: str = ""
    kind: Literal["location"] = "location"


@dataclass(frozen=True, slots=True)
class Reaction:
    """A reaction to a message."""

    message_id: str
    emoji: str
    """Empty: the reaction was taken back."""
    kind: Literal["reaction"] = "reaction"


@dataclass(frozen=True, slots=True)
class Card:
    """A platform's own component."""

    text: str
    type: str = ""
    raw_json: str = ""
    kind: Literal["card"] = "card"


Part = Annotated[
    Text | Media | ChoicesOffered | ChoiceTaken | Speech | Dtmf | Location | Reaction | Card,
    Field(discriminator="kind"),
]

Parts = TypeAdapter(tuple[Part, ...], config=ConfigDict(ser_json_bytes="base64", val_json_bytes="base64"))
"""Reads and writes parts as JSON: an array of objects told apart by `kind`."""


@dataclass(frozen=True, slots=True)
class WireTime:
    """A moment at the wire. Durations are taken only between two times of one clock."""

    wall_unix_nanos: int
    monotonic_nanos: int
    clock_id: str
    """Names the monotonic clock. Never empty here: the host fills in the epoch."""

    def ms_until(self, later: WireTime) -> float | None:
        """Milliseconds from this moment to a later one. Returns None if their clocks differ."""
        if self.clock_id != later.clock_id:
            return None
        return (later.monotonic_nanos - self.monotonic_nanos) / 1e6


@dataclass(frozen=True, slots=True)
class Usage:
    """What a model call cost."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    """Of the prompt tokens, those read from the provider's prefix cache."""
    calls: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.cached_tokens + other.cached_tokens,
            self.calls + other.calls,
        )


NO_USAGE = Usage()


class StopKind(enum.StrEnum):
    """Why a persona stops."""

    GOALS_REACHED = "GOALS_REACHED"
    STOP_CONDITION = "STOP_CONDITION"


@dataclass(frozen=True, slots=True)
class Stop:
    """A persona's decision to stop; said with its last message, which is still sent."""

    kind: StopKind
    condition: str = ""
    """Which of the persona's stop conditions was met. Empty: its goals were reached."""
    why: str = ""


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a session's transcript: a row of its journal."""

    session_id: SessionId
    seq: int
    """Position in the session, 1, 2, 3 ... over all attempts; never changes."""
    rev: int
    """Number of the session's event that last changed this message; counted over all its events."""
    id: MessageId
    attempt: int
    turn: int
    """1, 2, 3 ... within the attempt. 0: the agent spoke before the persona's first turn."""
    sender: Sender
    parts: tuple[Part, ...]
    created_at: datetime
    """When it was journalled, UTC."""
    in_reply_to: str = ""
    replaces: str = ""
    """Id of the earlier message that this one edits or takes back."""
    deleted: bool = False
    adapter_seq: int = 0
    """Highest seq of the adapter's events that this row reflects. 0: none yet."""
    receipt: ReceiptStatus | None = None
    """Persona's messages: what became of it. None: not known (yet)."""
    sent: WireTime | None = None
    """Persona's messages: when its last byte left."""
    delivered: WireTime | None = None
    read: WireTime | None = None
    first_byte: WireTime | None = None
    """Agent's messages: when its first byte arrived."""
    last_byte: WireTime | None = None
    """Agent's messages: when its last byte arrived."""
    fault: Fault | None = None
    """Set when the receipt is FAILED."""
    usage: Usage | None = None
    """Model tokens spent on the persona's turn; stored on the turn's first message."""
    stop: Stop | None = None
    """Set on the last message of the turn in which the persona decided to stop."""

    @property
    def text(self) -> str:
        """What a person reads in it, parts joined by new lines."""
        return plain_text(self.parts)


def plain_text(parts: tuple[Part, ...]) -> str:
    """What a person reads in these parts, one line a part."""
    if len(parts) == 1 and isinstance(parts[0], Text):
        return parts[0].text
    return "\n".join(line for line in map(_plain, parts) if line)


def _plain(part: Part) -> str:
    match part:
        case Text(text=text) | Speech(text=text) | Card(text=text):
            return text
        case ChoicesOffered(choices=choices):
            return "\n".join(f"[{choice.title or choice.id}]" for choice in choices)
        case ChoiceTaken(choice_id=choice_id, title=title):
            return title or choice_id
        case Media(media_kind=kind, name=name, mime_type=mime_type):
            label = name or mime_type
            return f"<{(kind or 'file').lower()}{': ' + label if label else ''}>"
        case Dtmf(digits=digits):
            return f"<keys {digits}>"
        case Location(latitude=lat, longitude=lon, name=name):
            return f"<location {name or f'{lat},{lon}'}>"
        case Reaction(emoji=emoji):
            return emoji or "<reaction taken back>"


@dataclass(frozen=True, slots=True)
class RawPayload:
    """What went over the channel's wire, kept when a session asked for it."""

    session_id: SessionId
    attempt: int
    adapter_seq: int
    to_agent: bool
    payload: str
    """Secrets redacted by the adapter, cut at 64 KiB."""
    time: WireTime
    label: str = ""
    fault: Fault | None = None


@dataclass(frozen=True, slots=True)
class TranscriptLine:
    """One message as evaluations and judges see it; edits are folded in, deletions marked."""

    seq: int
    turn: int
    sender: Sender
    text: str
    message: Message
    edited: bool = False
    deleted: bool = False


@dataclass(slots=True)
class Transcript:
    """The messages of one attempt in order, with edits and deletions folded into the message they change."""

    messages: tuple[Message, ...]
    lines: tuple[TranscriptLine, ...] = field(init=False)

    def __post_init__(self) -> None:
        by_id: dict[str, TranscriptLine] = {}
        for message in self.messages:
            original = by_id.get(message.replaces) if message.replaces else None
            if original is None:
                line = TranscriptLine(message.seq, message.turn, message.sender, message.text, message)
            else:
                text = "" if message.deleted else message.text
                line = replace(original, text=text, edited=True, deleted=message.deleted)
                by_id[original.message.id] = line
            by_id[message.id if original is None else message.replaces] = line
        seen: dict[int, TranscriptLine] = {line.seq: line for line in by_id.values()}
        self.lines = tuple(seen[seq] for seq in sorted(seen))
