"""Agents that refuse, break off, or send what nobody can read: whose fault it is, and what would help."""

import asyncio
import json
import struct
from typing import Any

import grpc
import pytest

from tests.adapters.websocket.hosting import AGENT, Adapter
from tests.adapters.websocket.scripted import BINARY, TEXT, Peer, Play, ScriptedAgent, answering, frame
from tests.plugin_sdk.host import Failed
from tests.support.shapes.running import shape_agent

DONE = {"type": "turn_complete"}
OK = {"type": "message", "text": "ok"}


async def refused(adapter: Adapter, url: str, **settings: Any) -> tuple[Failed, str, str]:
    """Try to converse with an agent that takes none: how that fails, and what a check finds."""
    connection = await adapter.connect(
        url=url, connect_timeout_seconds=0.2, hello_timeout_seconds=0.2, **settings
    )
    session = await adapter.open(connection)
    failure = await session.talk.failure()
    state, reason = await adapter.check(connection)
    await adapter.disconnect(connection)
    return failure, state, reason


def status(code: int, *headers: str) -> Play:
    async def play(peer: Peer) -> None:
        peer.refuse(code, *headers)

    return play


def writes(data: bytes) -> Play:
    async def play(peer: Peer) -> None:
        peer.write(data)

    return play


def after_hello(data: bytes) -> Play:
    """Accept, and write bytes at the first message."""

    async def play(peer: Peer) -> None:
        peer.accept()
        await peer.hear()
        peer.write(data)
        await peer.gone()

    return play


async def slow(peer: Peer) -> None:
    for byte in b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n" * 10:
        peer.write(bytes([byte]))
        await asyncio.sleep(0.05)


async def silent(_: Peer) -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize(
    "play,source,reason,state",
    [
        (status(401), "CHANNEL", "CREDENTIALS_REFUSED", "BAD_CREDENTIALS"),
        (status(403), "CHANNEL", "CREDENTIALS_REFUSED", "BAD_CREDENTIALS"),
        (status(404), "CHANNEL", "HANDSHAKE_REFUSED", "FAILED"),
        (status(426), "CHANNEL", "HANDSHAKE_REFUSED", "FAILED"),
        (status(200), "CHANNEL", "HANDSHAKE_REFUSED", "FAILED"),
        (status(429), "CHANNEL", "RATE_LIMITED", "FAILED"),
        (status(500), "AGENT", "AGENT_HANDSHAKE_STATUS", "FAILED"),
        (status(503), "AGENT", "AGENT_HANDSHAKE_STATUS", "FAILED"),
        (status(302, "Location: http://127.0.0.1:1/x?key=1"), "CHANNEL", "REDIRECTED", "FAILED"),
        (
            status(101, "Upgrade: websocket", "Connection: Upgrade"),
            "AGENT",
            "AGENT_HANDSHAKE_WRONG",
            "FAILED",
        ),
        (writes(b"SSH-2.0-OpenSSH_9.6\r\n"), "AGENT", "AGENT_NOT_HTTP", "FAILED"),
        (writes(b""), "AGENT", "AGENT_NO_HANDSHAKE", "FAILED"),
        (silent, "AGENT", "AGENT_NO_HANDSHAKE", "FAILED"),
        (slow, "AGENT", "AGENT_NO_HANDSHAKE", "FAILED"),
    ],
)
async def test_handshakes_that_fail(
    adapter: Adapter, play: Play, source: str, reason: str, state: str
) -> None:
    async with ScriptedAgent(play) as agent:
        failure, found, why = await refused(adapter, agent.url, token="t-secret", query={"q": "1"})
    assert (failure.source, failure.info.reason, found) == (source, reason, state)
    assert failure.code is (grpc.StatusCode.UNAUTHENTICATED if "CRED" in reason else grpc.StatusCode.ABORTED)
    assert why == failure.message
    assert "key=1" not in failure.message
    if source == "CHANNEL":
        assert failure.info.metadata["remedy"]


@pytest.mark.parametrize(
    "url,reason",
    [
        ("ws://127.0.0.1:1/ws", "NOT_CONNECTED"),
        ("ws://nobody.invalid/ws", "HOST_UNKNOWN"),
        ("wss://127.0.0.1:{port}/ws", "TLS_FAILED"),
    ],
)
async def test_addresses_where_no_websocket_is(adapter: Adapter, url: str, reason: str) -> None:
    async with shape_agent("ws-echo") as agent:
        failure, state, _ = await refused(adapter, url.format(port=agent.service.port))
    assert (failure.source, failure.info.reason, state) == ("CHANNEL", reason, "FAILED")
    assert failure.info.metadata["remedy"]


HELLO: dict[str, Any] = {"hello": [{"send": '{"type": "hello"}', "expect": "be welcome"}]}


def greets(*answers: dict[str, Any] | str, code: int | None = None, abort: bool = False) -> Play:
    async def play(peer: Peer) -> None:
        peer.accept()
        await peer.hear()
        peer.say(*(one if isinstance(one, str) else json.dumps(one) for one in answers))
        if code is not None:
            peer.close(code, "no t-secret here")
        if abort:
            await peer.drained()
            peer.abort()
        await peer.gone()

    return play


@pytest.mark.parametrize(
    "play,source,reason,state",
    [
        (greets({"type": "error", "message": "who are you?"}), "CHANNEL", "HELLO_REFUSED", "FAILED"),
        (greets({"type": "ended"}), "CHANNEL", "HELLO_REFUSED", "FAILED"),
        (greets({"type": "typing"}, "garbage", {"type": "odd"}), "AGENT", "AGENT_NO_HELLO", "FAILED"),
        (greets(code=1000), "CHANNEL", "HELLO_REFUSED", "FAILED"),
        (greets(code=1008), "CHANNEL", "CREDENTIALS_REFUSED", "BAD_CREDENTIALS"),
        (greets(code=4401), "CHANNEL", "CREDENTIALS_REFUSED", "BAD_CREDENTIALS"),
        (greets(code=1011), "AGENT", "AGENT_CLOSED", "FAILED"),
        (greets(abort=True), "CHANNEL", "CONNECTION_LOST", "FAILED"),
    ],
)
async def test_hellos_that_fail(adapter: Adapter, play: Play, source: str, reason: str, state: str) -> None:
    async with ScriptedAgent(play) as agent:
        failure, found, why = await refused(adapter, agent.url, secrets={"t": "t-secret"}, **HELLO)
    assert (failure.source, failure.info.reason, found) == (source, reason, state)
    assert why == failure.message
    assert "t-secret" not in failure.message


async def test_what_went_over_the_wire_is_told_though_hello_failed(adapter: Adapter) -> None:
    async with ScriptedAgent(greets({"type": "error", "message": "who are you?"})) as agent:
        connection = await adapter.connect(url=agent.url, **HELLO)
        session = await adapter.open(connection, capture_raw=True)
        failure = await session.talk.failure()
    assert failure.info.reason == "HELLO_REFUSED"
    assert "who are you?" in failure.message
    kinds = [event.WhichOneof("event") for event in session.talk.events]
    assert kinds == ["opened", "raw", "raw", "raw"]


async def test_a_check_says_hello_and_goes(adapter: Adapter) -> None:
    async with ScriptedAgent(greets({"type": "be welcome"})) as agent:
        connection = await adapter.connect(url=agent.url, **HELLO)
        assert await adapter.check(connection) == ("READY", "")
        peer = await agent.peer()
        await peer.gone()
        await adapter.disconnect(connection)
    assert peer.close_code in {0, 1000}


DEEP = "[" * 100_000


@pytest.mark.parametrize(
    "data,source,reason",
    [
        (b"\x00" * 20, AGENT, "AGENT_NOT_WEBSOCKET"),
        (frame(TEXT, b"\xff\xfe"), AGENT, "AGENT_NOT_WEBSOCKET"),
        (frame(3, b"reserved"), AGENT, "AGENT_NOT_WEBSOCKET"),
        (struct.pack("!BBQ", 0x81, 127, 1 << 62), AGENT, "AGENT_FRAME_TOO_LARGE"),
        (frame(TEXT, b"x" * 5000), AGENT, "AGENT_FRAME_TOO_LARGE"),
        (frame(TEXT, b"x" * 3000, first_bits=0) + frame(0, b"x" * 3000), AGENT, "AGENT_FRAME_TOO_LARGE"),
        (frame(TEXT, b'{"type": "error", "message": "broken"}'), AGENT, "AGENT_ERROR"),
        (frame(TEXT, b'{"type": "delta", "text": "xxxxxxxxxxx"}') * 200, AGENT, "AGENT_MESSAGE_TOO_LARGE"),
    ],
)
async def test_frames_after_which_nothing_goes_on(
    adapter: Adapter, data: bytes, source: int, reason: str
) -> None:
    limits = {"max_frame_bytes": 4096, "max_message_bytes": 2048}
    async with ScriptedAgent(after_hello(data)) as agent, adapter.conversing(url=agent.url, **limits) as one:  # type: ignore[arg-type]
        turn = await one.say("hi")
        assert (turn.closed.fault.source, turn.closed.fault.reason) == (source, reason)
        assert await one.talk.rest() == []


@pytest.mark.parametrize(
    "data,reason",
    [
        (frame(TEXT, b"not JSON, with t-secret"), "AGENT_FRAME_UNREADABLE"),
        (frame(TEXT, DEEP.encode()), "AGENT_FRAME_UNREADABLE"),
        (frame(TEXT, b'{"type": ' + b"9" * 5000 + b"}"), "AGENT_FRAME_UNREADABLE"),
        (frame(BINARY, b"\x00" * 100), "AGENT_FRAME_UNREADABLE"),
        (frame(TEXT, b'{"type": "news"}'), "AGENT_FRAME_UNKNOWN"),
        (frame(TEXT, b"[]"), "AGENT_FRAME_UNKNOWN"),
        (frame(TEXT, b"null"), "AGENT_FRAME_UNKNOWN"),
        (frame(TEXT, b'{"type": {"a": 1}}'), "AGENT_FRAME_UNKNOWN"),
        (frame(TEXT, b'{"type": "message", "text": {"a": 1}}'), "AGENT_REPLY_MISSING"),
        (frame(TEXT, b'{"type": "message"}'), "AGENT_REPLY_MISSING"),
        (frame(TEXT, b'{"type": "message", "text": true}'), "AGENT_REPLY_MISSING"),
    ],
)
@pytest.mark.parametrize("strict", [False, True])
async def test_frames_that_nobody_understands_are_noted_or_end_it(
    adapter: Adapter, data: bytes, reason: str, strict: bool
) -> None:
    good = b"".join(frame(TEXT, json.dumps(one).encode()) for one in (OK, DONE))
    async with (
        ScriptedAgent(after_hello(data + good)) as agent,
        adapter.conversing(
            url=agent.url, capture_raw=True, strict=strict, secrets={"t": "t-secret"}
        ) as session,
    ):
        turn = await session.say("hi")
    faults = [raw.fault for raw in turn.raw if raw.fault.reason]
    if strict:
        faults.append(turn.closed.fault)
    else:
        assert turn.texts == ["ok"]
    assert {(fault.source, fault.reason) for fault in faults} == {(AGENT, reason)}
    assert "t-secret" not in str(turn.events)


async def test_whatever_json_comes_the_adapter_goes_on(adapter: Adapter) -> None:
    deep = ["[" * depth + "]" * depth for depth in (10, 500, 900, *range(950, 1000, 7))]
    odd = ['"\\ud800"', '"\\u0000"', "1e999", "-0.0", "[null, {}, [1]]", "12345678901234567890", *deep]
    fields = ("type", "text", "in_reply_to", "id", "choices", "ended", "token")
    data = b"".join(
        frame(
            TEXT, json.dumps({"type": "message", "text": "x"} | {field: "?"}).replace('"?"', value).encode()
        )
        for value in odd
        for field in fields
    )
    settings: dict[str, Any] = {
        "frames": {"message": {"remember": {"token": "$.token"}, "answer": '{"got": {{ frame.token }}}'}},
        "reply": {"id": "$.id", "cards": "$.token", "media": "$.in_reply_to", "links": "$..id"},
        "ignore": ["got"],
    }
    good = b"".join(frame(TEXT, json.dumps(one).encode()) for one in (OK, DONE))
    async with (
        ScriptedAgent(after_hello(data + good)) as agent,
        adapter.conversing(url=agent.url, **settings) as session,
    ):
        turn = await session.say("hi")
    if turn.kinds[-1] == "closed":
        assert turn.closed.fault.source == AGENT
    else:
        assert turn.texts[-1] == "ok"


async def test_an_agent_that_never_answers_leaves_the_conversation_open(adapter: Adapter) -> None:
    async def never(peer: Peer) -> None:
        peer.accept()
        await peer.gone()

    async with ScriptedAgent(never) as agent, adapter.conversing(url=agent.url) as session:
        await session.send("hi")
        await session.talk.until("receipt")
        closed = await session.close()
        assert closed.kinds == ["closed"]
        assert not closed.closed.HasField("fault")


async def test_an_agent_that_does_not_read_is_not_waited_for_without_end(adapter: Adapter) -> None:
    async def deaf(peer: Peer) -> None:
        peer.accept()
        await asyncio.Event().wait()

    text = "\N{GRINNING FACE}" * 100_000
    settings: dict[str, Any] = {"timeout_seconds": 0.3, "send": ["[{{ text }}" + ",{{ text }}" * 30 + "]"]}
    async with ScriptedAgent(deaf) as agent, adapter.conversing(url=agent.url, **settings) as session:
        failure = await session.fails(text)
        assert (failure.source, failure.info.reason) == ("CHANNEL", "SEND_UNKNOWN")
        assert [event.WhichOneof("event") for event in session.talk.events] == ["opened"]


async def test_a_flood_does_not_starve_other_conversations(adapter: Adapter) -> None:
    async def flood(peer: Peer) -> None:
        peer.accept()
        while True:
            peer.tell(*[{"type": "typing"}] * 500)
            await peer.drained()
            await asyncio.sleep(0)

    async with (
        ScriptedAgent(flood) as noisy,
        ScriptedAgent(answering(OK, DONE)) as agent,
        adapter.conversing(url=noisy.url),
        adapter.conversing(url=agent.url) as session,
    ):
        for _ in range(5):
            assert (await session.say("hi")).texts == ["ok"]
