"""Between the domain's parts, times and faults and those of `mimic.adapter.v1`, which `mimic.v1` uses too.

Written out by hand, field by field: every message of every session passes here twice.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from mimic.adapter.v1 import message_pb2 as pb

from mimic_server.domain.faults import Fault, FaultSource
from mimic_server.domain.messages import (
    Card,
    Choice,
    ChoiceKind,
    ChoicesOffered,
    ChoiceTaken,
    Dtmf,
    Location,
    Media,
    MediaKind,
    Part,
    Reaction,
    Speech,
    Text,
    WireTime,
)

_MEDIA_KINDS = {
    pb.MEDIA_KIND_IMAGE: MediaKind.IMAGE,
    pb.MEDIA_KIND_AUDIO: MediaKind.AUDIO,
    pb.MEDIA_KIND_VIDEO: MediaKind.VIDEO,
    pb.MEDIA_KIND_DOCUMENT: MediaKind.DOCUMENT,
    pb.MEDIA_KIND_STICKER: MediaKind.STICKER,
}
_MEDIA_KINDS_OUT = {kind: number for number, kind in _MEDIA_KINDS.items()}
_CHOICE_KINDS = {
    pb.CHOICE_KIND_BUTTON: ChoiceKind.BUTTON,
    pb.CHOICE_KIND_LIST: ChoiceKind.LIST,
    pb.CHOICE_KIND_QUICK_REPLY: ChoiceKind.QUICK_REPLY,
    pb.CHOICE_KIND_LINK: ChoiceKind.LINK,
}
_CHOICE_KINDS_OUT = {kind: number for number, kind in _CHOICE_KINDS.items()}
_FAULT_SOURCES = {
    pb.FAULT_SOURCE_AGENT: FaultSource.AGENT,
    pb.FAULT_SOURCE_SIMULATOR: FaultSource.SIMULATOR,
    pb.FAULT_SOURCE_ADAPTER: FaultSource.ADAPTER,
    pb.FAULT_SOURCE_CHANNEL: FaultSource.CHANNEL,
    pb.FAULT_SOURCE_MIMIC: FaultSource.MIMIC,
}
_FAULT_SOURCES_OUT = {source: number for number, source in _FAULT_SOURCES.items()}


class Adds(Protocol):
    """A repeated field of parts."""

    def add(self) -> pb.Part:
        """Appends an empty part and returns it."""
        ...


def media_kind(number: int) -> MediaKind | None:
    """A kind of file. Returns None if it is not told, or newer than this server."""
    return _MEDIA_KINDS.get(number)  # type: ignore[call-overload, no-any-return]


def choice_kind(number: int) -> ChoiceKind:
    """A kind of choice; one that is not told or newer than this server is shown as a button."""
    return _CHOICE_KINDS.get(number, ChoiceKind.BUTTON)  # type: ignore[call-overload, no-any-return]


def write_parts(parts: Iterable[Part], into: Adds) -> None:
    """Appends parts to a repeated field; filling in place spares the copies that constructors make."""
    for part in parts:
        proto = into.add()
        if isinstance(part, Text):
            proto.text.text = part.text
            if part.markup:
                proto.text.markup = part.markup
        else:
            _write_part(part, proto)


def _write_part(
    part: Media | ChoicesOffered | ChoiceTaken | Speech | Dtmf | Location | Reaction | Card, proto: pb.Part
) -> None:
    match part:
        case Media():
            _write_media(part, proto.media)
        case ChoicesOffered():
            _write_choices(part, proto.choices_offered)
        case ChoiceTaken():
            taken = proto.choice_taken
            taken.choice_id, taken.message_id, taken.title = part.choice_id, part.message_id, part.title
        case Speech():
            _write_speech(part, proto.speech)
        case Dtmf():
            proto.dtmf.digits = part.digits
        case Location():
            place = proto.location
            place.latitude, place.longitude = part.latitude, part.longitude
            place.name, place.address = part.name, part.address
        case Reaction():
            proto.reaction.message_id, proto.reaction.emoji = part.message_id, part.emoji
        case Card():
            card = proto.card
            card.text, card.type, card.raw_json = part.text, part.type, part.raw_json


def _write_choices(part: ChoicesOffered, proto: pb.ChoicesOffered) -> None:
    proto.label = part.label
    for choice in part.choices:
        proto.choices.add(
            id=choice.id,
            title=choice.title,
            kind=_CHOICE_KINDS_OUT[choice.choice_kind],
            description=choice.description,
            uri=choice.uri,
        )


def _write_media(part: Media, proto: pb.Media) -> None:
    if part.media_kind is not None:
        proto.kind = _MEDIA_KINDS_OUT[part.media_kind]
    proto.mime_type, proto.name, proto.size_bytes = part.mime_type, part.name, part.size_bytes
    if part.data is not None:
        proto.data = part.data
    elif part.uri:
        proto.uri = part.uri
    elif part.media_id:
        proto.media_id = part.media_id


def _write_speech(part: Speech, proto: pb.Speech) -> None:
    proto.text, proto.language = part.text, part.language
    if part.confidence is not None:
        proto.confidence = part.confidence
    if part.interrupted_after_ms is not None:
        proto.interrupted_after_ms = part.interrupted_after_ms


def read_parts(protos: Iterable[pb.Part]) -> tuple[Part, ...]:
    """The parts of a message; kinds newer than this server are left out."""
    parts: list[Part] = []
    for proto in protos:
        kind = proto.WhichOneof("part")
        if kind == "text":
            text = proto.text
            parts.append(Text(text.text, text.markup))
        elif kind is not None:
            parts.append(_read_part(kind, proto))
    return tuple(parts)


def _read_part(kind: str, proto: pb.Part) -> Part:
    match kind:
        case "media":
            return _read_media(proto.media)
        case "choices_offered":
            offered = proto.choices_offered
            choices = tuple(
                Choice(c.id, c.title, choice_kind(c.kind), c.description, c.uri) for c in offered.choices
            )
            return ChoicesOffered(choices, offered.label)
        case "choice_taken":
            taken = proto.choice_taken
            return ChoiceTaken(taken.choice_id, taken.message_id, taken.title)
        case "speech":
            speech = proto.speech
            return Speech(
                speech.text,
                speech.confidence if speech.HasField("confidence") else None,
                speech.language,
                speech.interrupted_after_ms if speech.HasField("interrupted_after_ms") else None,
            )
        case "dtmf":
            return Dtmf(proto.dtmf.digits)
        case "location":
            place = proto.location
            return Location(place.latitude, place.longitude, place.name, place.address)
        case "reaction":
            return Reaction(proto.reaction.message_id, proto.reaction.emoji)
        case _:
            card = proto.card
            return Card(card.text, card.type, card.raw_json)


def _read_media(proto: pb.Media) -> Media:
    return Media(
        media_kind(proto.kind),
        proto.mime_type,
        proto.name,
        proto.size_bytes,
        proto.data if proto.HasField("data") else None,
        proto.uri,
        proto.media_id,
    )


def write_time(time: WireTime, into: pb.WireTime) -> None:
    """Fills in a moment."""
    into.wall_unix_nanos, into.monotonic_nanos = time.wall_unix_nanos, time.monotonic_nanos
    into.clock_id = time.clock_id


def read_time(proto: pb.WireTime, epoch: str) -> WireTime:
    """A moment; `epoch` names its clock where it names none."""
    return WireTime(proto.wall_unix_nanos, proto.monotonic_nanos, proto.clock_id or epoch)


def write_fault(fault: Fault, into: pb.Fault) -> None:
    """Fills in a fault."""
    into.source = _FAULT_SOURCES_OUT[fault.source]
    into.reason, into.message, into.remedy = fault.reason, fault.message, fault.remedy


def read_fault(proto: pb.Fault) -> Fault:
    """A fault; one whose source is not told, or newer than this server, is the adapter's."""
    source = _FAULT_SOURCES.get(proto.source, FaultSource.ADAPTER)
    return Fault(source, proto.reason or "NO_REASON_TOLD", proto.message, proto.remedy)
