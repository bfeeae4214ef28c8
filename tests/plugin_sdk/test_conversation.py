"""A conversation between host and author: items in, events out."""

from typing import Any

import grpc
import pytest
from mimic.adapter.v1 import adapter_pb2, conversation_pb2, message_pb2

from tests.plugin_sdk.host import conversing, failed


async def test_an_answer_comes_with_its_receipt_in_one_frame() -> None:
    async with conversing("Echo") as host:
        talk = await host.open()
        opened = (await talk.event()).opened
        assert opened.epoch
        assert not opened.resumed
        await talk.say("m-1", "hello")
        receipt, message, complete = [await talk.event() for _ in range(3)]
        assert [event.seq for event in talk.events] == [0, 1, 2, 3]
        assert len(talk.frames) == 2
        assert receipt.receipt.message_id == "m-1"
        assert receipt.receipt.status == conversation_pb2.RECEIPT_STATUS_SENT
        assert receipt.receipt.time.monotonic_nanos <= message.message.first_byte.monotonic_nanos
        assert message.message.message.parts[0].text.text == "hello"
        assert message.message.message.id
        assert complete.HasField("turn_complete")
        await talk.close()
        assert [event.WhichOneof("event") for event in await talk.rest()] == ["closed"]
        assert talk.events[-1].closed.by == conversation_pb2.CLOSED_BY_HOST


async def test_items_of_one_frame_are_taken_in_order_also_beside_open() -> None:
    async with conversing("Echo") as host:
        talk = await host.open()
        items = []
        for number in range(3):
            item = conversation_pb2.HostItem()
            item.send.message.id = f"m-{number}"
            item.send.message.parts.add().text.text = str(number)
            items.append(item)
        await talk.send(*items)
        said = [(await talk.until("message")).message.message.parts[0].text.text for _ in items]
    assert said == ["0", "1", "2"]


async def test_the_author_sees_who_speaks_and_how_it_ended() -> None:
    async with conversing("Faces") as host:
        talk = await host.open(attempt=2)
        assert (await talk.event()).opened.conversation_ref == "chat-1"
        text = (await talk.event()).message.message.parts[0].text.text
        assert text == "['Ada', 'en-GB', 2, 7] LIVE"
        await talk.close(conversation_pb2.CLOSE_REASON_CANCELLED)
        await talk.rest()
        await host.process.logged("closed: CloseReason.CANCELLED after []")


async def test_a_half_close_ends_a_conversation_too() -> None:
    async with conversing("Faces") as host:
        talk = await host.open()
        await talk.until("message")
        await talk.call.done_writing()
        assert (await talk.rest())[-1].closed.by == conversation_pb2.CLOSED_BY_HOST
        await host.process.logged("closed: CloseReason.NOT_TOLD after []")


async def test_every_part_survives_both_ways() -> None:
    item = conversation_pb2.HostItem()
    message = item.send.message
    message.id = "m"
    message.parts.add().text.CopyFrom(message_pb2.Text(text="hi", markup="markdown"))
    media = {"mime_type": "image/png", "name": "a.png", "size_bytes": 3}
    message.parts.add().media.CopyFrom(message_pb2.Media(kind=1, data=b"abc", **media))  # type: ignore[arg-type]
    message.parts.add().media.CopyFrom(message_pb2.Media(uri="https://example.org/a"))
    offered = message.parts.add().choices_offered
    offered.label = "Menu"
    for kind in (1, 2, 3, 4):
        offered.choices.add(id=f"c{kind}", title="t", kind=kind, description="d", uri="u")
    message.parts.add().choice_taken.CopyFrom(
        message_pb2.ChoiceTaken(choice_id="c", message_id="m", title="t")
    )
    message.parts.add().speech.CopyFrom(
        message_pb2.Speech(text="s", confidence=0.5, language="en", interrupted_after_ms=0)
    )
    message.parts.add().speech.CopyFrom(message_pb2.Speech(text="heard"))
    message.parts.add().dtmf.digits = "1#"
    message.parts.add().location.CopyFrom(
        message_pb2.Location(latitude=1.5, longitude=-2, name="n", address="a")
    )
    message.parts.add().reaction.CopyFrom(message_pb2.Reaction(message_id="m", emoji="👍"))
    message.parts.add().card.CopyFrom(message_pb2.Card(text="t", type="x.y", raw_json="{}"))
    async with conversing("Parts") as host:
        talk = await host.open()
        await talk.send(item)
        receipts = [(await talk.until("receipt")).receipt.status for _ in range(3)]
        said = (await talk.until("message")).message
        await talk.until("typing")
        edit = (await talk.until("message")).message
        deletion = (await talk.until("message")).message
    assert [conversation_pb2.ReceiptStatus.Name(status)[15:] for status in receipts] == [
        "SENT",
        "DELIVERED",
        "READ",
    ]
    assert said.message.id == "platform-1"
    assert list(said.message.parts) == list(message.parts)
    assert (edit.message.replaces, edit.message.parts[0].text.text) == ("platform-1", "better")
    assert (deletion.message.replaces, deletion.message.deleted) == ("platform-1", True)
    assert not deletion.message.parts


async def test_typing_and_reading_reach_the_author() -> None:
    typing, read = conversation_pb2.HostItem(), conversation_pb2.HostItem()
    typing.typing.SetInParent()
    read.read.message_id = "a-1"
    async with conversing("Typing") as host:
        talk = await host.open()
        await talk.send(typing, read)
        said = [(await talk.until("message")).message.message.parts[0].text.text for _ in range(2)]
    assert said == ["typing", "read a-1"]


async def test_what_is_newer_than_the_sdk_is_ignored_and_named_once() -> None:
    unknown_item = conversation_pb2.HostItem.FromString(b"\xa2\x06\x00")
    item = conversation_pb2.HostItem()
    item.send.message.id = "m"
    item.send.message.parts.add().text.text = "known"
    item.send.message.parts.append(message_pb2.Part.FromString(b"\xa2\x06\x00"))
    alone = conversation_pb2.HostItem()
    alone.send.message.id = "only unknown"
    alone.send.message.parts.append(message_pb2.Part.FromString(b"\xa2\x06\x00"))
    async with conversing("Echo") as host:
        talk = await host.open()
        await talk.send(unknown_item, item, unknown_item, alone)
        assert (await talk.until("message")).message.message.parts[0].text.text == "known"
        receipts = [event.receipt for event in talk.events if event.HasField("receipt")]
        named = [line["@message"] for line in host.process.log if "does not know" in line["@message"]]
    assert {receipt.message_id: receipt.fault.reason for receipt in receipts} == {
        "m": "",
        "only unknown": "PARTS_UNKNOWN",
    }
    assert len(named) == 2


@pytest.mark.parametrize(
    "frame,reason",
    [
        (b"", "NOT_OPENED"),
        (conversation_pb2.ConverseRequest(ack=3).SerializeToString(), "NOT_OPENED"),
        (b"\xff\xff\xff", "FRAME_MALFORMED"),
    ],
)
async def test_a_stream_that_does_not_begin_with_open_is_refused(frame: bytes, reason: str) -> None:
    async with conversing("Echo") as host:
        call: Any = host.channel.stream_stream("/mimic.adapter.v1.AdapterService/Converse")()
        await call.write(frame)
        failure = await failed(call.read())
    assert failure.code is grpc.StatusCode.INVALID_ARGUMENT
    assert failure.info.reason == reason


async def test_what_breaks_the_contract_later_ends_the_session() -> None:
    opens = conversation_pb2.HostItem()
    opens.open.session_id = "again"
    nameless = conversation_pb2.HostItem()
    nameless.send.message.parts.add().text.text = "no id"
    long = conversation_pb2.HostItem()
    long.send.message.id = 129 * "x"
    reasons = []
    async with conversing("Echo") as host:
        for item in (opens, nameless, long):
            talk = await host.open()
            await talk.send(item)
            failure = await talk.failure()
            assert failure.code is grpc.StatusCode.INVALID_ARGUMENT
            reasons.append(failure.info.reason)
    assert reasons == ["OPENED_TWICE", "MESSAGE_ID_INVALID", "MESSAGE_ID_INVALID"]


async def test_open_is_refused_where_there_is_nothing_to_open() -> None:
    async with conversing("Pair") as host:
        unknown = await (await host.open(connection_id="other")).failure()
        first = await host.open("s-1")
        await first.until("opened")
        taken = await (await host.open("s-1")).failure()
        second = await host.open("s-2")
        await second.until("opened")
        full = await (await host.open("s-3")).failure()
        await second.close()
        await second.rest()
        await (await host.open("s-3")).until("opened")
    assert unknown.code is grpc.StatusCode.NOT_FOUND
    assert taken.code is grpc.StatusCode.ALREADY_EXISTS
    assert full.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert full.retry.retry_delay.seconds == 1


async def test_large_files_are_fetched_in_chunks() -> None:
    async with conversing("Files") as host:
        talk = await host.open("s-1")
        await talk.say("m", "go")
        small, streamed, bytes_ = [part.media for part in (await talk.until("message")).message.message.parts]
        pieces = []
        for media in (streamed, streamed, bytes_):
            request = adapter_pb2.GetMediaRequest(session_id="s-1", media_id=media.media_id)
            pieces.append([piece.data async for piece in host.stub.GetMedia(request)])
        unknown = await failed(
            host.stub.GetMedia(adapter_pb2.GetMediaRequest(session_id="s-1", media_id="no")).read()
        )
    assert (small.data, small.size_bytes) == (b"small", 5)
    assert streamed.name == "large.bin"
    assert pieces[0] == pieces[1]
    assert b"".join(pieces[0]) == b"".join(bytes([number]) * 300_000 for number in range(3))
    assert b"".join(pieces[2]) == bytes(1 << 21)
    assert bytes_.size_bytes == 1 << 21
    assert max(len(piece) for chunks in pieces for piece in chunks) <= 256 * 1024
    assert unknown.code is grpc.StatusCode.NOT_FOUND
