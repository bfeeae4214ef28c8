"""Sockets that end in the middle: whose fault it is, and how a conversation goes on."""

import asyncio
from typing import Any

import pytest
from mimic.adapter.v1 import conversation_pb2, message_pb2

from tests.adapters.websocket.hosting import AGENT, CHANNEL, FAILED, Adapter
from tests.adapters.websocket.scripted import Peer, Play, ScriptedAgent
from tests.support.shapes.running import shape_agent

DONE = {"type": "turn_complete"}
RESUME: dict[str, Any] = {
    "hello": [{"expect": "ready"}],
    "query": {"session": "{{ conversation_id }}"},
    "resume": {
        "query": {"last_seq": "{{ last_id or 0 }}"},
        "last_id": "$.seq",
        "resumed": "$.resumed",
        "within_seconds": 3,
        "backoff_seconds": 0.02,
    },
}
BY_AGENT, BY_PLATFORM = conversation_pb2.CLOSED_BY_AGENT, conversation_pb2.CLOSED_BY_PLATFORM


def said(text: str, **fields: Any) -> dict[str, Any]:
    return {"type": "message", "text": text, **fields}


def ready(*, resumed: bool) -> dict[str, Any]:
    return {"type": "ready", "resumed": resumed}


def cut(*answers: dict[str, Any], code: int | None = None, reason: str = "") -> Play:
    """Answer the first message, then cut the connection, or close with a code."""

    async def play(peer: Peer) -> None:
        peer.accept()
        peer.tell(ready(resumed=False))
        await peer.hear()
        peer.tell(*answers)
        if code is not None:
            peer.close(code, reason)
            await peer.gone()
        else:
            await peer.drained()
            peer.abort()

    return play


def goes_on(*missed: dict[str, Any], resumed: bool = True) -> Play:
    """Take a conversation up, and answer what comes."""

    async def play(peer: Peer) -> None:
        peer.accept()
        peer.tell(ready(resumed=resumed), *missed)
        while True:
            message = await peer.hear_json()
            peer.tell(said(f"again: {message['text']}", seq=9), DONE)

    return play


def refuses(status: int) -> Play:
    async def play(peer: Peer) -> None:
        peer.refuse(status)

    return play


async def test_without_resume_a_lost_connection_is_a_fault_of_the_channel(adapter: Adapter) -> None:
    async with ScriptedAgent(cut(said("half"))) as agent, adapter.conversing(url=agent.url) as session:
        turn = await session.say("hi")
        assert turn.kinds == ["receipt", "message", "closed"]
        assert (turn.closed.by, turn.closed.fault.source) == (BY_PLATFORM, CHANNEL)
        assert turn.closed.fault.reason == "CONNECTION_LOST"
        assert await session.talk.rest() == []


@pytest.mark.parametrize(
    "code,by,source,reason",
    [
        (1000, BY_AGENT, 0, ""),
        (0, BY_AGENT, 0, ""),
        (1001, BY_PLATFORM, CHANNEL, "AGENT_WENT_AWAY"),
        (1012, BY_PLATFORM, CHANNEL, "AGENT_WENT_AWAY"),
        (1008, BY_AGENT, AGENT, "AGENT_CLOSED"),
        (1011, BY_AGENT, AGENT, "AGENT_CLOSED"),
        (4000, BY_AGENT, AGENT, "AGENT_CLOSED"),
        (4401, BY_PLATFORM, CHANNEL, "CREDENTIALS_REFUSED"),
        (4123, BY_AGENT, 0, ""),
        (4124, BY_PLATFORM, CHANNEL, "AGENT_WENT_AWAY"),
        (1004, BY_AGENT, AGENT, "AGENT_NOT_WEBSOCKET"),
    ],
)
async def test_what_a_close_code_means(
    adapter: Adapter, code: int, by: int, source: int, reason: str
) -> None:
    settings = {"close_codes": {"4123": "ended", "4124": "channel"}}
    play = cut(said("half"), code=code, reason="so it goes" if code else "")
    async with ScriptedAgent(play) as agent, adapter.conversing(url=agent.url, **settings) as session:  # type: ignore[arg-type]
        closed = (await session.say("hi")).closed
    assert (closed.by, closed.fault.source, closed.fault.reason) == (by, source, reason)
    if code not in {0, 1004}:
        assert f"with {code}: so it goes" in closed.reason


@pytest.mark.parametrize("code", [None, 1001, 1012])
async def test_with_resume_the_conversation_goes_on(adapter: Adapter, code: int | None) -> None:
    first = cut(said("one", seq=4), {"type": "typing"}, {"type": "delta", "text": "lo"}, code=code)
    second = goes_on(said("missed", seq=5), DONE)
    async with (
        ScriptedAgent(first, refuses(503), refuses(503), second) as agent,
        adapter.conversing(url=agent.url, **RESUME) as session,
    ):
        turn = await session.say("hi")
        assert turn.texts == ["one", "missed"]
        assert turn.complete.message_id == "m1"
        assert (await session.say("more")).texts == ["again: more"]
        before, after = await agent.peer(1), await agent.peer(4)
    assert "last_seq" not in before.target
    assert after.target == f"{before.target}&last_seq=4"


async def test_a_message_is_kept_while_there_is_no_socket_and_left_once(adapter: Adapter) -> None:
    gate = asyncio.Event()

    async def late(peer: Peer) -> None:
        await gate.wait()
        await goes_on()(peer)

    async with (
        ScriptedAgent(cut(said("one", seq=1), DONE), late) as agent,
        adapter.conversing(url=agent.url, **RESUME) as session,
    ):
        await session.say("hi")
        await agent.peer(2)
        await session.send("meanwhile")
        gate.set()
        turn = await session.turn()
        assert turn.kinds == ["receipt", "message", "turn_complete"]
        assert turn.texts == ["again: meanwhile"]


async def test_what_is_said_again_after_a_resume_is_told_once(adapter: Adapter) -> None:
    settings = RESUME | {"reply": {"id": "$.seq"}}
    first = cut(said("one", seq=1), said("two", seq=2))
    second = goes_on(said("two", seq=2), said("three", seq=3), DONE)
    async with (
        ScriptedAgent(first, second) as agent,
        adapter.conversing(url=agent.url, **settings) as session,
    ):
        assert (await session.say("hi")).texts == ["one", "two", "three"]


async def test_what_comes_before_it_is_sure_that_the_conversation_goes_on_waits(adapter: Adapter) -> None:
    def replays(*, resumed: bool) -> Play:
        async def play(peer: Peer) -> None:
            peer.accept()
            peer.tell(said("missed", seq=2), DONE, ready(resumed=resumed))
            await peer.gone()

        return play

    first = cut(said("one", seq=1))
    async with ScriptedAgent(first, replays(resumed=True), first, replays(resumed=False)) as agent:
        async with adapter.conversing(url=agent.url, **RESUME) as session:
            turn = await session.say("hi")
            assert turn.texts == ["one", "missed"]
            assert turn.kinds[-1] == "turn_complete"
        async with adapter.conversing(url=agent.url, **RESUME) as session:
            turn = await session.say("hi")
            assert turn.texts == ["one"]
            assert turn.closed.fault.reason == "NOT_RESUMED"


async def test_an_end_of_turn_that_was_lost_with_the_socket_holds_nothing_up(adapter: Adapter) -> None:
    settings = RESUME | {"one_at_a_time": True}
    async with (
        ScriptedAgent(cut(said("one", seq=1)), goes_on()) as agent,
        adapter.conversing(url=agent.url, **settings) as session,
    ):
        await session.send("hi")
        await agent.peer(2)
        await session.send("more")
        message = (await session.talk.until("turn_complete")).turn_complete.message_id
        assert message in {"m1", "m2"}


async def test_a_message_of_unknown_fate_is_not_repeated(adapter: Adapter) -> None:
    async with ScriptedAgent(cut(), goes_on()) as agent, adapter.conversing(url=agent.url, **RESUME) as one:
        turn = await one.say("hi")
        assert (turn.closed.by, turn.closed.fault.reason) == (BY_PLATFORM, "SEND_UNKNOWN")
        assert turn.closed.fault.source == CHANNEL


@pytest.mark.parametrize(
    "play,source,reason",
    [
        (goes_on(resumed=False), CHANNEL, "NOT_RESUMED"),
        (refuses(401), CHANNEL, "CREDENTIALS_REFUSED"),
        (refuses(500), AGENT, "AGENT_HANDSHAKE_STATUS"),
    ],
)
async def test_resuming_ends_in_a_fault_where_it_cannot_be(
    adapter: Adapter, play: Play, source: int, reason: str
) -> None:
    gate = asyncio.Event()

    async def late(peer: Peer) -> None:
        await gate.wait()
        await play(peer)

    settings = RESUME | {"resume": RESUME["resume"] | {"within_seconds": 0.1}}
    async with (
        ScriptedAgent(cut(said("one", seq=1), DONE), late) as agent,
        adapter.conversing(url=agent.url, **settings) as session,
    ):
        await session.say("hi")
        await agent.peer(2)
        await session.send("meanwhile")
        # What cannot be sent is told at once: the message before it has arrived too.
        refused = await session.say(message_pb2.Part(location=message_pb2.Location()))
        assert refused.receipts[0].message_id == "m3"
        gate.set()
        turn = await session.turn()
        assert [(receipt.message_id, receipt.status) for receipt in turn.receipts] == [("m2", FAILED)]
        closed = (await session.turn()).closed
    for fault in (turn.receipts[0].fault, closed.fault):
        assert (fault.source, fault.reason) == (source, reason)


async def test_a_peer_that_is_silent_is_gone(adapter: Adapter) -> None:
    async def silent(peer: Peer) -> None:
        peer.accept()
        peer.tell({"type": "open", "a": 100, "b": 150.0, "c": "x"})
        await asyncio.Event().wait()

    settings: dict[str, Any] = {"frames": {"open": {"silence_ms": "$.a | $.b | $.c"}}}
    async with ScriptedAgent(silent) as agent, adapter.conversing(url=agent.url, **settings) as session:
        closed = (await session.turn()).closed
        assert closed.fault.message == "the connection to the agent was lost: no frame came for 0.25 s"
    async with (
        ScriptedAgent(silent) as agent,
        adapter.conversing(url=agent.url, heartbeat_seconds=0.2) as one,
    ):
        fault = (await one.turn()).closed.fault
        assert (fault.source, fault.reason) == (CHANNEL, "CONNECTION_LOST")
        assert "PONG" in fault.message


async def test_an_agent_that_keeps_its_conversations(adapter: Adapter) -> None:
    async with shape_agent("ws-echo") as agent:
        url = f"{agent.url.replace('http', 'ws')}/ws"
        async with adapter.conversing(url=url, **RESUME) as session:
            assert (await session.say("hi")).texts == ["turn 1: hi"]
            await session.send("drop")
            texts = [
                (await session.talk.until("message")).message.message.parts[0].text.text for _ in range(2)
            ]
            assert texts == ["said while you were gone", "and this too"]
            assert (await session.say("again")).texts == ["turn 3: again"]
        received = [one["text"] for one in agent.received()]
    assert received == ["hi", "drop", "again"]


@pytest.mark.parametrize(
    "settings,resume,resumed",
    [
        ({"resume": {"resumed": "$.resumed"}}, {}, True),
        ({"resume": {"resumed": "$.resumed"}}, {"answer_pending": True}, False),
        ({"resume": {"resumed": "$.resumed"}}, {"unsettled_message_ids": ["m2"]}, False),
        ({"resume": {"resumed": "$.never"}}, {}, False),
        ({"resume": RESUME["resume"]}, {}, False),
        ({"resume": None}, {}, False),
    ],
)
async def test_another_process_goes_on_only_where_nothing_can_be_missing(
    adapter: Adapter, another: Adapter, settings: dict[str, Any], resume: dict[str, Any], resumed: bool
) -> None:
    async with shape_agent("ws-echo") as agent:
        whole = RESUME | settings | {"url": f"{agent.url.replace('http', 'ws')}/ws"}
        connection = await adapter.connect(**whole)
        session = await adapter.open(connection)
        opened = (await session.talk.until("opened")).opened
        await session.say("hi")
        session.talk.call.cancel()
        wanted = conversation_pb2.Resume(epoch=opened.epoch, last_seq=3, settled_message_ids=["m0"], **resume)
        later = await another.open(await another.connect(**whole), session_id=session.id, resume=wanted)
        again = (await later.talk.until("opened")).opened
        assert (again.resumed, again.conversation_ref) == (resumed, opened.conversation_ref)
        turn = await later.say("again")
        if resumed:
            assert turn.texts == ["turn 2: again"]
        else:
            assert turn.receipts[0].fault.reason == "NOT_RESUMED"
        await later.close()
        await adapter.disconnect(connection)
