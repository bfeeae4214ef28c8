"""Between the contract's messages and this SDK's own: the parts of both directions.

Written out field by field: it runs for every message, and setting fields in place is several times cheaper
than building nested messages from keyword arguments.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Any

from mimic.adapter.v1 import message_pb2

from mimic_plugin_sdk._message import (
    Card,
    Choice,
    ChoiceKind,
    ChoicesOffered,
    ChoiceTaken,
    Dtmf,
    Location,
    Media,
    MediaKind,
    Message,
    Part,
    Reaction,
    Speech,
    Text,
)

_logger = logging.getLogger("mimic_plugin_sdk")

CHOICE_KINDS = {kind: message_pb2.ChoiceKind.Value(f"CHOICE_KIND_{kind.name}") for kind in ChoiceKind}
_CHOICE_KINDS_IN = {value: kind for kind, value in CHOICE_KINDS.items()}
MEDIA_KINDS = {
    kind: message_pb2.MediaKind.Value(
        f"MEDIA_KIND_{'UNSPECIFIED' if kind is MediaKind.UNKNOWN else kind.name}"
    )
    for kind in MediaKind
}
_MEDIA_KINDS_IN = {value: kind for kind, value in MEDIA_KINDS.items()}

_named_unknown: set[str] = set()


def name_unknown(what: str) -> None:
    """Name something newer than this SDK in the log, once a process.

    Args:
        what: What was ignored, such as "a host item".
    """
    if what not in _named_unknown:
        _named_unknown.add(what)
        _logger.warning("ignored %s that this SDK does not know; the host is newer than the adapter", what)


def message_from_wire(wire: message_pb2.Message) -> Message:
    """Read a message of the persona; parts of unknown kinds are left out and named in the log."""
    given = wire.parts
    parts: tuple[Part, ...]
    # An index costs a third of what beginning to iterate does, and most messages have one part.
    if len(given) == 1:
        part = _part_from_wire(given[0])
        parts = () if part is None else (part,)
    else:
        parts = tuple(part for part in map(_part_from_wire, given) if part is not None)
    return Message(wire.id, parts, wire.in_reply_to, wire.replaces, wire.deleted)


def _part_from_wire(wire: message_pb2.Part) -> Part | None:
    kind = wire.WhichOneof("part")
    if kind == "text":
        text = wire.text
        return Text(text.text, text.markup)
    if kind is None:
        name_unknown("a message part")
        return None
    return _PARTS_IN[kind](wire)


def _media_from_wire(part: message_pb2.Part) -> Part:
    media = part.media
    return Media(
        kind=_MEDIA_KINDS_IN.get(media.kind, MediaKind.UNKNOWN),
        mime_type=media.mime_type,
        name=media.name,
        size_bytes=media.size_bytes,
        data=media.data if media.HasField("data") else None,
        uri=media.uri,
        media_id=media.media_id,
    )


def _choices_from_wire(part: message_pb2.Part) -> Part:
    offered = part.choices_offered
    return ChoicesOffered(
        tuple(
            Choice(
                choice.id,
                choice.title,
                _CHOICE_KINDS_IN.get(choice.kind, ChoiceKind.BUTTON),
                choice.description,
                choice.uri,
            )
            for choice in offered.choices
        ),
        offered.label,
    )


def _choice_from_wire(part: message_pb2.Part) -> Part:
    taken = part.choice_taken
    return ChoiceTaken(taken.choice_id, taken.message_id, taken.title)


def _speech_from_wire(part: message_pb2.Part) -> Part:
    speech = part.speech
    return Speech(
        speech.text,
        speech.confidence if speech.HasField("confidence") else None,
        speech.language,
        speech.interrupted_after_ms if speech.HasField("interrupted_after_ms") else None,
    )


def _location_from_wire(part: message_pb2.Part) -> Part:
    place = part.location
    return Location(place.latitude, place.longitude, place.name, place.address)


_PARTS_IN: dict[str, Callable[[message_pb2.Part], Part]] = {
    "media": _media_from_wire,
    "choices_offered": _choices_from_wire,
    "choice_taken": _choice_from_wire,
    "speech": _speech_from_wire,
    "dtmf": lambda part: Dtmf(part.dtmf.digits),
    "location": _location_from_wire,
    "reaction": lambda part: Reaction(part.reaction.message_id, part.reaction.emoji),
    "card": lambda part: Card(part.card.text, part.card.type, part.card.raw_json),
}


def fill_parts(message: message_pb2.Message, parts: Sequence[Part]) -> None:
    """Write the parts of a message of the agent."""
    for part in parts:
        wire = message.parts.add()
        if isinstance(part, Text):
            wire.text.text = part.text
            wire.text.markup = part.markup
        else:
            _PARTS_OUT[type(part)](wire, part)


def _fill_media(wire: message_pb2.Part, part: Media) -> None:
    media = wire.media
    media.kind = MEDIA_KINDS[part.kind]
    media.mime_type = part.mime_type
    media.name = part.name
    media.size_bytes = part.size_bytes
    if part.data is not None:
        media.data = part.data
        media.size_bytes = part.size_bytes or len(part.data)
    elif part.media_id:
        media.media_id = part.media_id
    elif part.uri:
        media.uri = part.uri


def _fill_choices(wire: message_pb2.Part, part: ChoicesOffered) -> None:
    offered = wire.choices_offered
    offered.label = part.label
    for choice in part.choices:
        one = offered.choices.add()
        one.id = choice.id
        one.title = choice.title
        one.kind = CHOICE_KINDS[choice.kind]
        one.description = choice.description
        one.uri = choice.uri


def _fill_choice_taken(wire: message_pb2.Part, part: ChoiceTaken) -> None:
    taken = wire.choice_taken
    taken.choice_id = part.choice_id
    taken.message_id = part.message_id
    taken.title = part.title


def _fill_speech(wire: message_pb2.Part, part: Speech) -> None:
    speech = wire.speech
    speech.text = part.text
    speech.language = part.language
    if part.confidence is not None:
        speech.confidence = part.confidence
    if part.interrupted_after_ms is not None:
        speech.interrupted_after_ms = part.interrupted_after_ms


def _fill_dtmf(wire: message_pb2.Part, part: Dtmf) -> None:
    wire.dtmf.digits = part.digits


def _fill_location(wire: message_pb2.Part, part: Location) -> None:
    place = wire.location
    place.latitude = part.latitude
    place.longitude = part.longitude
    place.name = part.name
    place.address = part.address


def _fill_reaction(wire: message_pb2.Part, part: Reaction) -> None:
    wire.reaction.message_id = part.message_id
    wire.reaction.emoji = part.emoji


def _fill_card(wire: message_pb2.Part, part: Card) -> None:
    card = wire.card
    card.text = part.text
    card.type = part.type
    card.raw_json = part.raw_json


_PARTS_OUT: dict[type[Any], Callable[[message_pb2.Part, Any], None]] = {
    Media: _fill_media,
    ChoicesOffered: _fill_choices,
    ChoiceTaken: _fill_choice_taken,
    Speech: _fill_speech,
    Dtmf: _fill_dtmf,
    Location: _fill_location,
    Reaction: _fill_reaction,
    Card: _fill_card,
}
