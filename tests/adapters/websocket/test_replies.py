"""What the agent says: several replies, streamed ones, parts, edits, acknowledgements, endings."""

import asyncio
import json
from typing import Any

from mimic.adapter.v1 import conversation_pb2, message_pb2

from tests.adapters.websocket.hosting import Adapter
from tests.adapters.websocket.scripted import BINARY, Peer, ScriptedAgent, answering

DONE = {"type": "turn_complete"}
DELTAS: dict[str, Any] = {
    "frames": {
        "delta": {"delta": "$.text", "key": "$.key"},
        "end": {"closes": True, "key": "$.key"},
        "whole": {"whole": "$"},
    },
    "reply": {"id": "$.id"},
}


def said(text: str, **fields: Any) -> dict[str, Any]:
    return {"type": "message", "text": text, **fields}


async def test_several_replies_are_several_messages_in_the_order_of_the_wire(adapter: Adapter) -> None:
    texts = [f"number {index}" for index in range(20)]
    async with (
        ScriptedAgent(answering(*map(said, texts), DONE)) as agent,
        adapter.conversing(url=agent.url) as session,
    ):
        turn = await session.say("hi")
        assert turn.kinds == ["receipt", *["message"] * 20, "turn_complete"]
        assert turn.texts == texts
        assert turn.complete.message_id == "m1"
        times = [turn.receipts[0].time, *(message.first_byte for message in turn.messages)]
        assert [time.monotonic_nanos for time in times] == sorted(time.monotonic_nanos for time in times)


async def test_a_streamed_reply_is_one_message_from_its_first_delta_to_its_end(adapter: Adapter) -> None:
    gates = [asyncio.Event() for _ in range(2)]

    async def play(peer: Peer) -> None:
        peer.accept()
        await peer.hear()
        peer.tell({"type": "delta", "text": "Hel"})
        await gates[0].wait()
        peer.tell({"type": "delta", "text": "lo"}, {"type": "delta", "text": ""}, {"type": "delta"})
        await gates[1].wait()
        peer.tell({"type": "end"}, DONE)
        await peer.gone()

    async with ScriptedAgent(play) as agent, adapter.conversing(url=agent.url, **DELTAS) as session:
        await session.send("hi")
        await session.talk.until("typing")
        between = asyncio.get_running_loop().time()
        gates[0].set()
        gates[1].set()
        turn = await session.turn()
        assert turn.texts == ["Hello"]
        (message,) = turn.messages
        first, last = message.first_byte.monotonic_nanos / 1e9, message.last_byte.monotonic_nanos / 1e9
        assert first < between < last


async def test_streams_interleave_and_a_whole_message_takes_the_place_of_its_deltas(adapter: Adapter) -> None:
    frames = [
        {"type": "delta", "key": "a", "text": "one"},
        {"type": "delta", "key": "b", "text": "other"},
        {"type": "delta", "key": "a", "text": " more"},
        {"type": "end", "key": "b"},
        {"type": "whole", "id": "a", "text": "one more, corrected"},
        {"type": "delta", "text": "never ended"},
        DONE,
    ]
    async with (
        ScriptedAgent(answering(*frames)) as agent,
        adapter.conversing(url=agent.url, **DELTAS) as session,
    ):
        turn = await session.say("hi")
        assert turn.texts == ["other", "one more, corrected", "never ended"]
        assert [message.message.id for message in turn.messages][:2] == ["b", "a"]
        late = turn.messages[1]
        assert late.first_byte.monotonic_nanos < late.last_byte.monotonic_nanos


async def test_parts_edits_and_deletions(adapter: Adapter) -> None:
    settings: dict[str, Any] = {
        "frames": {"deleted": {"deleted": "$.id"}},
        "reply": {
            "id": "$.id",
            "markup": "markdown",
            "replaces": "$.replaces",
            "choice_kind": "list",
            "links": "$.links[*]",
            "media": "$.files[*]",
            "media_type": "$.mime",
            "cards": "$.card",
            "card_text": "$.title",
        },
    }
    whole = said(
        "look",
        id="1",
        choices=[{"id": "y", "title": "Yes"}, {"title": "No"}],
        links=[{"id": "https://x/", "title": "X"}],
        files=[{"url": "https://x/a.png", "mime": "image/png"}],
        card={"title": "Card"},
    )
    frames = [
        whole,
        whole,
        said("look again", id="1"),
        said("instead", id="2", replaces="1"),
        {"type": "deleted", "id": "2"},
        {"type": "deleted", "id": "unknown"},
        said("", id="3"),
        said("x" * 10, id="i" * 200),
        DONE,
    ]
    async with (
        ScriptedAgent(answering(*frames)) as agent,
        adapter.conversing(url=agent.url, **settings) as one,
    ):
        turn = await one.say("hi")
    first, again, instead, deleted, long = (message.message for message in turn.messages)
    assert [part.WhichOneof("part") for part in first.parts] == ["text", "media", "card", "choices_offered"]
    assert first.parts[0].text.markup == "markdown"
    assert first.parts[1].media.kind == message_pb2.MEDIA_KIND_IMAGE
    kinds = [(c.id, c.title, c.kind, c.uri) for c in first.parts[3].choices_offered.choices]
    assert kinds == [
        ("y", "Yes", message_pb2.CHOICE_KIND_LIST, ""),
        ("No", "No", message_pb2.CHOICE_KIND_LIST, ""),
        ("https://x/", "X", message_pb2.CHOICE_KIND_LINK, "https://x/"),
    ]
    assert (again.replaces, again.parts[0].text.text) == ("1", "look again")
    assert (instead.replaces, instead.parts[0].text.text) == ("1", "instead")
    assert (deleted.replaces, deleted.deleted) == ("2", True)
    assert long.id != "i" * 200


async def test_a_text_may_be_a_list_of_texts_and_an_echo_of_the_persona_is_none(adapter: Adapter) -> None:
    settings: dict[str, Any] = {
        "reply": {"id": "$.id", "role": "$.who", "roles": {"bot": "agent", "me": "persona"}}
    }
    frames = [
        said("hi", who="me"),
        said("?", who="clerk"),
        said("x", who="bot", id="1") | {"text": ["a", "b"]},
        DONE,
    ]
    async with (
        ScriptedAgent(answering(*frames)) as agent,
        adapter.conversing(url=agent.url, **settings) as one,
    ):
        assert (await one.say("hi")).texts == ["a", "b"]


async def test_acknowledgements_are_deliveries(adapter: Adapter) -> None:
    async def play(peer: Peer) -> None:
        peer.accept()
        while True:
            message = await peer.hear_json()
            peer.tell({"type": "ack", "of": message["id"]}, {"type": "ack", "of": "x"}, said("ok"), DONE)

    settings: dict[str, Any] = {"frames": {"ack": {"ack": "$.of"}}}
    async with ScriptedAgent(play) as agent, adapter.conversing(url=agent.url, **settings) as session:
        turn = await session.say("hi")
    assert [(receipt.message_id, receipt.status) for receipt in turn.receipts] == [
        ("m1", conversation_pb2.RECEIPT_STATUS_SENT),
        ("m1", conversation_pb2.RECEIPT_STATUS_DELIVERED),
    ]


async def test_binary_frames_that_hold_text(adapter: Adapter) -> None:
    async def play(peer: Peer) -> None:
        peer.accept()
        opcode, payload = await peer.read()
        assert opcode == BINARY
        peer.frame(BINARY, json.dumps(said(json.loads(payload)["text"])).encode())
        peer.frame(BINARY, json.dumps(DONE).encode())
        await peer.gone()

    async with ScriptedAgent(play) as agent, adapter.conversing(url=agent.url, binary=True) as session:
        assert (await session.say("h\u00ef")).texts == ["h\u00ef"]


async def test_an_agent_that_speaks_first_is_heard_before_the_persona_begins(adapter: Adapter) -> None:
    gate = asyncio.Event()

    async def play(peer: Peer) -> None:
        peer.accept()
        await gate.wait()
        peer.tell(said("Hello! How can I help?"))
        await answering_one(peer)

    async def silent(peer: Peer) -> None:
        peer.accept()
        await answering_one(peer)

    async def answering_one(peer: Peer) -> None:
        await peer.hear()
        peer.tell(said("ok"), DONE)
        await peer.gone()

    async with ScriptedAgent(play, silent) as agent:
        connection = await adapter.connect(url=agent.url, greeting_seconds=5)
        session = await adapter.open(connection)
        peer = await agent.peer()
        assert peer.target == "/"
        gate.set()
        assert (await session.talk.event()).HasField("opened")
        greeting = (await session.talk.event()).message
        assert greeting.message.parts[0].text.text == "Hello! How can I help?"
        assert (await session.say("hi")).texts == ["ok"]
        await session.close()
        connection = await adapter.connect(url=agent.url, greeting_seconds=0.1)
        session = await adapter.open(connection)
        assert (await session.talk.event()).HasField("opened")
        assert (await session.say("hi")).texts == ["ok"]


async def test_the_end_by_the_agent(adapter: Adapter) -> None:
    async def by_frame(peer: Peer) -> None:
        peer.accept()
        await peer.hear()
        peer.tell(said("goodbye"), {"type": "turn_complete", "ended": True}, said("too late"))
        await peer.gone()

    async def by_close(peer: Peer) -> None:
        peer.accept()
        await peer.hear()
        peer.tell({"type": "delta", "text": "good"})
        peer.close(1000, "done")
        await peer.gone()

    async with ScriptedAgent(by_frame, by_close) as agent:
        async with adapter.conversing(url=agent.url) as session:
            turn = await session.say("bye")
            assert turn.kinds == ["receipt", "message", "turn_complete"]
            closed = (await session.turn()).closed
            assert (closed.by, closed.HasField("fault")) == (conversation_pb2.CLOSED_BY_AGENT, False)
            assert await session.talk.rest() == []
        async with adapter.conversing(url=agent.url) as session:
            turn = await session.say("bye")
            assert turn.texts == ["good"]
            assert turn.closed.reason == "the agent closed the socket with 1000: done"
            assert not turn.closed.HasField("fault")
