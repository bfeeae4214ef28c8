"""What goes to the agent: templates, turns of several messages, typing, pings, raw payloads."""

import asyncio
import json
import uuid
from typing import Any

import pytest
from mimic.adapter.v1 import conversation_pb2, message_pb2

from tests.adapters.websocket.hosting import CHANNEL, FAILED, Adapter, choice
from tests.adapters.websocket.scripted import BINARY, PING, PONG, Peer, ScriptedAgent, answering
from tests.plugin_sdk.host import SECONDS

TO_AGENT = conversation_pb2.RAW_DIRECTION_TO_AGENT
FROM_AGENT = conversation_pb2.RAW_DIRECTION_FROM_AGENT
DONE = {"type": "turn_complete"}


def said(text: str, **fields: Any) -> dict[str, Any]:
    return {"type": "message", "text": text, **fields}


async def test_templates_know_the_conversation_and_insert_safely(adapter: Adapter) -> None:
    awkward = 'He said "hi" \\ {{ it }}\n</x>'
    send = (
        '{"t": {{ text }}, "in": "<{{ text }}>", "v": {{ value }}, "c": {{ choice }}, "id": {{ message_id }},'
        ' "n": {{ number }}, "more": {{ more }}, "s": {{ session_id }}, "a": {{ attempt }},'
        ' "p": {{ persona }}, "saved": {{ saved.token }}, "x": {{ model }}, "k": {{ secrets.key }}}'
    )

    async def play(peer: Peer) -> None:
        peer.accept("Sec-WebSocket-Protocol: chat.v1")
        peer.tell({"type": "ready", "token": {"a": [1]}})
        while True:
            await peer.hear()
            peer.tell(said("ok"), DONE)

    settings: dict[str, Any] = {
        "path": "/talk/{{ conversation_id }}/{{ persona.name }}",
        "query": {"who": "{{ persona.name }}", "fixed": "a b"},
        "secret_query": {"key": "q&1"},
        "headers": {"X-Name": "{{ persona.name }}", "X-Same": "same"},
        "secret_headers": {"X-Key": "very-secret"},
        "token": "bearer-secret",
        "subprotocols": ["chat.v2", "chat.v1"],
        "secret_subprotocols": ["key.abc"],
        "variables": {"model": "m-1"},
        "secrets": {"key": "template-secret"},
        "hello": [{"expect": "ready"}],
        "frames": {"ready": {"remember": {"token": "$.token"}}},
        "send": [send],
    }
    session_id = str(uuid.uuid4())
    async with ScriptedAgent(play) as agent:
        connection = await adapter.connect(url=f"{agent.url}/base?own=1", **settings)
        session = await adapter.open(connection, session_id=session_id, attempt=2, capture_raw=True)
        opened = (await session.talk.until("opened")).opened
        turns = [await session.say(awkward), await session.say(choice("pay:1", "Pay"))]
        raw = [frame for turn in turns for frame in turn.raw]
        sent = [
            json.loads(one.payload) for one in raw if one.label == "message" and one.direction == TO_AGENT
        ]
        peer = await agent.peer()
    ref = opened.conversation_ref
    assert uuid.UUID(ref) != uuid.UUID(session_id)
    path, _, query = peer.target.partition("?")
    assert path == f"/base/talk/{ref}/Ada%20Lovelace"
    assert set(query.split("&")) == {"own=1", "key=q%261", "who=Ada+Lovelace", "fixed=a+b"}
    assert peer.headers["authorization"] == "Bearer bearer-secret"
    assert [peer.headers[name] for name in ("x-name", "x-same", "x-key")] == [
        "Ada Lovelace",
        "same",
        "very-secret",
    ]
    assert peer.headers["sec-websocket-protocol"].replace(" ", "") == "chat.v2,chat.v1,key.abc"
    persona = {"name": "Ada Lovelace", "locale": "en-GB"}
    common = {"s": session_id, "a": 2, "p": persona, "saved": {"a": [1]}, "x": "m-1", "k": "[redacted]"}
    first = {"t": awkward, "in": f"<{awkward}>", "v": awkward, "c": None, "id": "m1", "n": 0, "more": False}
    second = {
        "t": "Pay",
        "in": "<Pay>",
        "v": "pay:1",
        "c": {"id": "pay:1", "title": "Pay"},
        "id": "m2",
        "n": 1,
    }
    assert sent == [first | common, second | common | {"more": False}]
    await adapter.disconnect(connection)


async def test_a_header_cannot_be_split_by_what_is_inserted(adapter: Adapter) -> None:
    settings: dict[str, Any] = {
        "headers": {"X-Name": "{{ variable }}"},
        "variables": {"variable": "a\r\nX-Evil: 1"},
    }
    async with ScriptedAgent(answering(said("ok"), DONE)) as agent:
        async with adapter.conversing(url=agent.url, **settings) as session:
            await session.say("hi")
        peer = await agent.peer()
    assert "x-evil" not in peer.headers
    assert peer.headers["x-name"] == "a%0D%0AX-Evil: 1"


async def test_raw_payloads_go_both_ways_without_secrets(adapter: Adapter) -> None:
    async def play(peer: Peer) -> None:
        peer.accept()
        peer.tell({"type": "welcome", "echo": (await peer.hear_json())["token"]})
        await peer.hear()
        peer.tell({"type": "typing"}, {"type": "odd"}, said("ok"), DONE)
        peer.frame(BINARY, b"\x00\xff")
        await peer.gone()

    settings: dict[str, Any] = {
        "secrets": {"key": "hello-secret"},
        "token": "bearer-secret",
        "hello": [{"send": '{"token": {{ secrets.key }}}', "expect": "welcome"}],
    }
    async with (
        ScriptedAgent(play) as agent,
        adapter.conversing(url=agent.url, capture_raw=True, **settings) as session,
    ):
        await session.send("hi")
        raw: list[conversation_pb2.Raw] = []
        while len(raw) < 9:
            raw.append((await session.talk.until("raw")).raw)
    shown = [(one.direction, one.label, one.fault.reason) for one in raw]
    to, back = TO_AGENT, FROM_AGENT
    assert shown == [
        (to, "handshake", ""),
        (to, "hello", ""),
        (back, "welcome", ""),
        (to, "message", ""),
        (back, "typing", ""),
        (back, "odd", "AGENT_FRAME_UNKNOWN"),
        (back, "message", ""),
        (back, "turn_complete", ""),
        (back, "", "AGENT_FRAME_UNREADABLE"),
    ]
    assert "-secret" not in str(raw)
    assert raw[0].payload.splitlines() == ["GET /", "User-Agent: Mimic", "Authorization: Bearer [redacted]"]
    assert raw[1].payload == '{"token": "[redacted]"}'


@pytest.mark.parametrize(
    "settings,kinds",
    [
        ({}, ["receipt", "message", "receipt", "message", "turn_complete"]),
        ({"join_messages": True}, ["receipt", "receipt", "message", "turn_complete"]),
        ({"one_at_a_time": True}, ["receipt", "message", "receipt", "message", "turn_complete"]),
    ],
)
async def test_a_turn_of_several_messages_is_over_after_the_last(
    adapter: Adapter, settings: dict[str, Any], kinds: list[str]
) -> None:
    async def play(peer: Peer) -> None:
        peer.accept()
        while True:
            message = await peer.hear_json()
            peer.tell(said(message["text"], in_reply_to=message["id"]), DONE)

    async with ScriptedAgent(play) as agent, adapter.conversing(url=agent.url, **settings) as session:
        for _ in range(2):
            first = await session.send("one", more=True)
            if not settings.get("join_messages"):
                await session.talk.until("message")
            last = await session.send("two")
            turn = await session.turn()
            assert turn.complete.message_id == last
            assert [turn.texts[-1], first != last] == ["one\ntwo" if len(kinds) == 4 else "two", True]
        await session.send("one", more=True)
        await session.send("two")
        assert sorted((await session.turn()).kinds) == sorted(kinds)


async def test_one_end_for_all_messages_of_a_turn(adapter: Adapter) -> None:
    async def play(peer: Peer) -> None:
        peer.accept()
        while True:
            message = await peer.hear_json()
            if not message["more"]:
                peer.tell(said("both"), DONE, DONE)

    settings: dict[str, Any] = {"done_for": "turn", "send": ['{"more": {{ more }}}']}
    async with ScriptedAgent(play) as agent, adapter.conversing(url=agent.url, **settings) as session:
        for number in (2, 4):
            await session.send("one", more=True)
            await session.send("two")
            turn = await session.turn()
            assert turn.complete.message_id == f"m{number}"


async def test_one_at_a_time_waits_for_the_agent_and_gives_up(adapter: Adapter) -> None:
    gate = asyncio.Event()

    async def play(peer: Peer) -> None:
        peer.accept()
        for _ in range(2):
            await peer.hear()
            await gate.wait()
            peer.tell(said("ok"), DONE)
        await peer.gone()

    settings: dict[str, Any] = {"one_at_a_time": True, "timeout_seconds": 0.3}
    async with ScriptedAgent(play) as agent, adapter.conversing(url=agent.url, **settings) as session:
        await session.send("one")
        await session.talk.until("receipt")
        await session.send("two")
        receipt = (await session.talk.until("receipt")).receipt
        assert (receipt.status, receipt.fault.reason) == (FAILED, "AGENT_BUSY")
        gate.set()
        await session.talk.until("turn_complete")
        assert (await session.say("three")).texts == ["ok"]


async def test_typing_and_reading_are_sent_where_templates_say_how(adapter: Adapter) -> None:
    heard: list[str] = []

    async def play(peer: Peer) -> None:
        peer.accept()
        while True:
            heard.append(await peer.hear())
            if heard[-1] == "bye":
                return
            if "message" in heard[-1]:
                peer.tell(said("ok", id="a-1"), DONE)

    settings: dict[str, Any] = {
        "typing": '"types"',
        "read": '["read", {{ read_id }}]',
        "bye": "bye",
        "format": "json",
    }
    async with ScriptedAgent(play) as agent:
        refused = await adapter.refusal(url=agent.url, **settings)
        assert list(refused) == ["settings.bye"]
        settings["bye"] = '"bye"'
        async with adapter.conversing(url=agent.url, **settings) as session:
            typing, read = conversation_pb2.HostItem(), conversation_pb2.HostItem()
            typing.typing.SetInParent()
            read.read.message_id = "a-1"
            await session.talk.send(typing)
            await session.say("hi")
            await session.talk.send(read)
            await session.close()
        peer = await agent.peer()
        await peer.gone()
    assert heard[0] == '"types"'
    assert heard[2:] == ['["read", "a-1"]', '"bye"']


async def test_pings_of_either_side(adapter: Adapter) -> None:
    pinged = asyncio.Event()
    frames: list[tuple[int, bytes]] = []

    async def play(peer: Peer) -> None:
        peer.accept()
        peer.frame(PING, b"are you there")
        peer.tell({"type": "ping", "id": 7})
        while len(frames) < 3:
            frames.append(await peer.read())
        pinged.set()
        await peer.gone()

    settings: dict[str, Any] = {
        "frames": {"ping": {"answer": '{"type": "pong", "id": {{ frame.id }}}'}},
        "ping": {"send": '{"type": "ping"}', "interval_seconds": 0.1},
    }
    async with ScriptedAgent(play) as agent, adapter.conversing(url=agent.url, **settings):
        async with asyncio.timeout(SECONDS):
            await pinged.wait()
    assert frames[:2] == [(PONG, b"are you there"), (1, b'{"type": "pong", "id": 7}')]
    assert frames[2] == (1, b'{"type": "ping"}')


async def test_what_cannot_be_sent_is_failed_and_the_conversation_goes_on(adapter: Adapter) -> None:
    settings: dict[str, Any] = {
        "send": ['{"token": {{ saved.token }}, "text": {{ text }}}'],
        "frames": {"ready": {"remember": {"token": "$.token"}}},
        "ignore": [],
    }

    async def play(peer: Peer) -> None:
        peer.accept()
        await grant.wait()
        peer.tell({"type": "ready", "token": 1}, said("granted"))
        await peer.hear()
        peer.tell(said("ok"), DONE)
        await peer.gone()

    grant = asyncio.Event()
    async with ScriptedAgent(play) as agent, adapter.conversing(url=agent.url, **settings) as session:

        async def fails(*parts: message_pb2.Part | str, **fields: Any) -> str:
            await session.send(*parts, **fields)
            receipt = (await session.turn()).receipts[-1]
            assert receipt.fault.source == CHANNEL
            return receipt.fault.reason

        picture = message_pb2.Part(media=message_pb2.Media(uri="https://x/a.png"))
        assert await fails(picture) == "NOTHING_TO_SEND"
        assert await fails("x" * 100_001) == "TEXT_TOO_LONG"
        assert await fails("better", replaces="m1") == "EDIT_NOT_POSSIBLE"
        assert await fails("hi") == "TEMPLATE_FAILED"
        grant.set()
        await session.talk.until("message")
        assert (await session.say("hi")).texts == ["ok"]


async def test_the_end_by_the_host_closes_the_socket(adapter: Adapter) -> None:
    async with ScriptedAgent(answering(said("ok"), DONE)) as agent:
        async with adapter.conversing(url=agent.url) as session:
            await session.say("hi")
            await session.send("last words")
            closed = await session.close()
            assert closed.kinds[-1] == "closed"
            assert "receipt" in closed.kinds
        peer = await agent.peer()
        assert peer.close_code == 1000
