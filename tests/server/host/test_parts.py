from __future__ import annotations

import pytest
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
from mimic_server.wire.parts import (
    read_fault,
    read_parts,
    read_time,
    write_fault,
    write_parts,
    write_time,
)

PARTS: list[Part] = [
    Text("hello"),
    Text("*hello*", "markdown"),
    Text(""),
    *(Media(kind, "image/png", "a.png", 5, data=b"12345") for kind in (None, *MediaKind)),
    Media(MediaKind.VIDEO, uri="https://x/y"),
    Media(media_id="m-1", size_bytes=2**40),
    Media(data=b""),
    Media(),
    ChoicesOffered(tuple(Choice("i", "t", kind, "d", "u") for kind in ChoiceKind), "Menu"),
    ChoicesOffered(()),
    ChoiceTaken("c", "m", "t"),
    ChoiceTaken("c"),
    Speech("hi", 0.5, "en", 120),
    Speech("hi", 0.0, "", 0),
    Speech("hi"),
    Dtmf("12#"),
    Location(1.5, -2.5, "here", "street"),
    Location(0, 0),
    Reaction("m", "👍"),
    Reaction("m", ""),
    Card("text", "discord.embed", "{}"),
    Card("text"),
]


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.kind)
def test_a_part_survives_the_wire(part: Part) -> None:
    message = pb.Message()
    write_parts([part], message.parts)
    assert read_parts(pb.Message.FromString(message.SerializeToString()).parts) == (part,)


def test_every_kind_of_part_is_known() -> None:
    message = pb.Message()
    write_parts(PARTS, message.parts)
    kinds = {part.WhichOneof("part") for part in message.parts}
    assert kinds == {field.name for field in pb.Part.DESCRIPTOR.oneofs_by_name["part"].fields}


def test_what_is_newer_than_this_server() -> None:
    assert read_parts([pb.Part()]) == ()
    media = pb.Part(media=pb.Media(kind=99))  # type: ignore[arg-type]
    choices = pb.Part(choices_offered=pb.ChoicesOffered(choices=[pb.Choice(id="a", kind=99)]))  # type: ignore[arg-type]
    assert read_parts([media, choices]) == (Media(), ChoicesOffered((Choice("a"),)))


def test_a_time_without_a_clock_is_of_the_epoch() -> None:
    proto = pb.WireTime()
    write_time(WireTime(1, 2, ""), proto)
    assert read_time(proto, "epoch") == WireTime(1, 2, "epoch")
    write_time(WireTime(1, 2, "other"), proto)
    assert read_time(proto, "epoch") == WireTime(1, 2, "other")


@pytest.mark.parametrize("source", list(FaultSource))
def test_a_fault_survives_the_wire(source: FaultSource) -> None:
    proto = pb.Fault()
    write_fault(Fault(source, "REASON", "what", "do"), proto)
    assert read_fault(proto) == Fault(source, "REASON", "what", "do")


def test_a_fault_that_tells_nothing_is_the_adapters() -> None:
    assert read_fault(pb.Fault()) == Fault(FaultSource.ADAPTER, "NO_REASON_TOLD", "")
