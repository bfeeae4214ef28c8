"""Conversations: order, turns, what is remembered, resumption, endings, payloads, times."""

import asyncio
import json
import uuid
from typing import Any

import pytest
from mimic.adapter.v1 import conversation_pb2

from tests.adapters.rest.hosting import Rest, Session
from tests.adapters.rest.scripted import END, SSE, Play, ScriptedAgent, answer, chunk
from tests.plugin_sdk.host import SECONDS

_HISTORY = '{"all": {{ history }}}'


def bodies(received: list[Any]) -> list[Any]:
    return [json.loads(one.body) for one in received]


def waits(gate: asyncio.Event, reply: str = "ok") -> Play:
    """Answer once a gate is open."""

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await gate.wait()
        await answer(200, json.dumps({"reply": reply}).encode())(reader, writer)

    return play


async def test_requests_go_one_after_another(rest: Rest) -> None:
    gate = asyncio.Event()
    plays = [waits(gate, "one"), answer(200, b'{"reply": "two"}')]
    async with ScriptedAgent(plays) as agent, rest.conversing(url=agent.url) as session:
        await session.send("first")
        await session.send("second")
        await session.talk.until("receipt")
        assert len(await agent.received(1)) == 1
        gate.set()
        one, two = await session.turn(), await session.turn()
        assert one.kinds == ["message", "turn_complete"]
        assert two.kinds == ["receipt", "message", "turn_complete"]
        assert (one.texts, two.texts) == (["one"], ["two"])
        assert [body["message"] for body in bodies(await agent.received(2))] == ["first", "second"]


async def test_a_turn_of_several_messages_is_over_after_the_last(rest: Rest) -> None:
    async with ScriptedAgent() as agent, rest.conversing(url=agent.url) as session:
        await session.send("one", more=True)
        await session.send("two")
        turn = await session.turn()
        assert turn.kinds == ["receipt", "message", "receipt", "message", "turn_complete"]
        assert turn.complete.message_id == "m2"
        assert [message.message.in_reply_to for message in turn.messages] == ["m1", "m2"]


async def test_messages_are_joined_where_that_is_set(rest: Rest) -> None:
    async with ScriptedAgent() as agent, rest.conversing(url=agent.url, join_messages=True) as session:
        await session.send("one", more=True)
        await session.send("two", more=True)
        await session.send("three")
        turn = await session.turn()
        assert turn.kinds == ["receipt", "receipt", "receipt", "message", "turn_complete"]
        assert len({receipt.time.monotonic_nanos for receipt in turn.receipts}) == 1
        (body,) = bodies(await agent.received(1))
        assert (body["message"], body["message_id"]) == ("one\ntwo\nthree", "m3")


async def test_history_is_what_was_said(rest: Rest) -> None:
    plays = [answer(200, b'{"reply": ["a", "b"]}'), answer()]
    async with ScriptedAgent(plays) as agent, rest.conversing(url=agent.url, body=_HISTORY) as session:
        await session.say("hi")
        await session.say("more")
        first, second = (body["all"] for body in bodies(await agent.received(2)))
    assert [(one["role"], one["text"]) for one in first] == [("user", "hi")]
    assert [(one["role"], one["text"]) for one in second] == [
        ("user", "hi"),
        ("assistant", "a"),
        ("assistant", "b"),
        ("user", "more"),
    ]
    assert len({one["id"] for one in second}) == 4


async def test_what_an_answer_names_is_remembered_until_the_next(rest: Rest) -> None:
    plays = [
        answer(200, b'{"thread": "t"}'),
        answer(200, b'{"reply": "ok", "token": {"a": 1}}'),
        answer(200, b'{"reply": "ok"}'),
        answer(),
    ]
    settings: dict[str, Any] = {
        "setup": {
            "path": "/start",
            "body": '{"who": {{ persona.name }}}',
            "remember": {"thread": "$.thread"},
        },
        "path": "/{{ saved.thread }}",
        "body": '{"token": {{ saved.token }}}',
        "remember": {"token": "$.token"},
    }
    async with ScriptedAgent(plays) as agent, rest.conversing(url=agent.url, **settings) as session:
        for _ in range(3):
            await session.say("hi")
        received = await agent.received(4)
    assert [one.line.split()[1] for one in received] == ["/chat/start", "/chat/t", "/chat/t", "/chat/t"]
    assert bodies(received) == [
        {"who": "Ada Lovelace"},
        {"token": None},
        {"token": {"a": 1}},
        {"token": None},
    ]


async def test_cookies_are_kept_apart(rest: Rest) -> None:
    plays = [
        answer(200, headers=["Set-Cookie: a=1; Path=/", "Set-Cookie: b=2"]),
        answer(200, headers=["Set-Cookie: a=; Max-Age=0"]),
        answer(),
    ]
    async with ScriptedAgent(plays) as agent:
        connection = await rest.connect(url=agent.url, cookies=True)
        first, second = await rest.open(connection), await rest.open(connection)
        for session in (first, first, first, second):
            await session.say("hi")
        received = await agent.received(4)
        await rest.disconnect(connection)
    assert [one.headers.get("cookie") for one in received] == [None, "a=1; b=2", "b=2", None]


async def test_headers_and_addresses_cannot_be_injected(rest: Rest) -> None:
    settings: dict[str, Any] = {
        "path": "/{{ text }}",
        "query": {"q": "{{ text }}"},
        "secret_query": {"key": "query&secret"},
        "headers": {"X-Text": "said {{ text }}"},
        "secret_headers": {"X-Secret": "secret of the header"},
    }
    async with ScriptedAgent() as agent, rest.conversing(url=agent.url, **settings) as session:
        await session.say("a\r\nX-Evil: 1 ?&/../é")
        (received,) = await agent.received(1)
    escaped = "a%0D%0AX-Evil%3A%201%20%3F%26%2F..%2F%C3%A9"
    assert (
        received.line == f"POST /chat/{escaped}?key=query%26secret&q={escaped.replace('%20', '+')} HTTP/1.1"
    )
    assert received.headers["x-text"] == "said a%0D%0AX-Evil: 1 ?&/../%C3%A9"
    assert received.headers["x-secret"] == "secret of the header"
    assert "x-evil" not in received.headers


@pytest.mark.parametrize("method", ["PUT", "PATCH", "GET"])
async def test_other_methods(rest: Rest, method: str) -> None:
    settings: dict[str, Any] = {"method": method, "query": {"say": "{{ text }}"}, "body": ""}
    async with ScriptedAgent() as agent, rest.conversing(url=agent.url, **settings) as session:
        for _ in range(2):
            turn = await session.say("hi")
            assert turn.kinds == ["receipt", "message", "turn_complete"]
        received = await agent.received(2)
    assert [one.line for one in received] == [f"{method} /chat?say=hi HTTP/1.1"] * 2
    assert "content-type" not in received[0].headers
    # What aiohttp would repeat by itself never meets a kept connection.
    assert len({one.connection for one in received}) == (1 if method == "PATCH" else 2)


async def test_forms_and_texts(rest: Rest) -> None:
    settings: dict[str, Any] = {
        "content_type": "application/x-www-form-urlencoded",
        "body": "text={{ text }}&id={{ message_id }}",
        "format": "text",
    }
    play = answer(200, "Grüß dich".encode("latin-1"), kind="text/plain; charset=latin-1")
    async with ScriptedAgent([play]) as agent, rest.conversing(url=agent.url, **settings) as session:
        assert (await session.say("a&b=c d")).texts == ["Grüß dich"]
        (received,) = await agent.received(1)
    assert received.body == b"text=a%26b%3Dc+d&id=m1"
    assert received.headers["content-type"] == "application/x-www-form-urlencoded"


# --- times -------------------------------------------------------------------------------------------------


async def test_the_first_byte_of_a_stream_comes_before_its_last(rest: Rest) -> None:
    more = asyncio.Event()

    async def play(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(SSE + chunk('data: {"text": "Hel"}\n\n'))
        await writer.drain()
        await more.wait()
        writer.write(chunk('data: {"text": "lo"}\n\ndata: [DONE]\n\n') + END)

    streaming = {"done_data": "[DONE]", "events": {"*": {"delta": "$.text"}}}
    async with ScriptedAgent([play]) as agent, rest.conversing(url=agent.url, streaming=streaming) as session:
        await session.send("hi")
        await session.talk.until("receipt")
        asyncio.get_running_loop().call_later(0.1, more.set)
        turn = await session.turn()
        (message,) = turn.messages
    assert turn.texts == ["Hello"]
    took = message.last_byte.monotonic_nanos - message.first_byte.monotonic_nanos
    assert took > 50_000_000


async def test_sent_is_told_while_the_agent_thinks(rest: Rest) -> None:
    gate = asyncio.Event()
    async with ScriptedAgent([waits(gate)]) as agent, rest.conversing(url=agent.url) as session:
        await session.send("hi")
        sent = (await session.talk.until("receipt")).receipt.time.monotonic_nanos
        asyncio.get_running_loop().call_later(0.1, gate.set)
        (message,) = (await session.turn()).messages
        assert message.first_byte.monotonic_nanos - sent > 50_000_000


# --- payloads ----------------------------------------------------------------------------------------------


async def test_payloads_are_told_without_secrets(rest: Rest) -> None:
    token = "token-of-the-test-suite"
    play = answer(200, json.dumps({"reply": f"your token is {token}"}).encode())
    async with (
        ScriptedAgent([play]) as agent,
        rest.conversing(url=agent.url, token=token, capture_raw=True) as session,
    ):
        turn = await session.say("hi")
        assert (await agent.received(1))[0].headers["authorization"] == f"Bearer {token}"
    there, back = turn.raw
    assert (there.direction, back.direction) == (
        conversation_pb2.RAW_DIRECTION_TO_AGENT,
        conversation_pb2.RAW_DIRECTION_FROM_AGENT,
    )
    assert (there.label, back.label) == ("POST /chat", "POST /chat 200")
    assert json.loads(there.payload)["message"] == "hi"
    assert json.loads(back.payload)["reply"] == "your token is [redacted]"


# --- resumption --------------------------------------------------------------------------------------------


def resumed(*settled: str, unsettled: tuple[str, ...] = (), pending: bool = False) -> conversation_pb2.Resume:
    return conversation_pb2.Resume(
        epoch="another process",
        last_seq=3,
        settled_message_ids=settled,
        unsettled_message_ids=unsettled,
        answer_pending=pending,
    )


async def _opened(session: Session) -> conversation_pb2.Opened:
    return (await session.talk.until("opened")).opened


async def test_the_id_follows_from_session_and_attempt(rest: Rest) -> None:
    async with ScriptedAgent() as agent:
        connection = await rest.connect(url=agent.url)
        session_id = str(uuid.uuid4())
        refs = []
        for attempt in (1, 2):
            session = await rest.open(connection, session_id=session_id, attempt=attempt)
            refs.append((await _opened(session)).conversation_ref)
            await session.say("hi")
            await session.close()
        sent = [body["conversation_id"] for body in bodies(await agent.received(2))]
        await rest.disconnect(connection)
    assert refs == sent
    assert len(set(refs)) == 2
    assert all(uuid.UUID(ref) for ref in refs)


async def test_a_conversation_of_another_process_goes_on_where_its_id_is_enough(rest: Rest) -> None:
    async with ScriptedAgent() as agent:
        connection = await rest.connect(url=agent.url, setup={"path": "/start"})
        session = await rest.open(connection, resume=resumed("m0"))
        assert (await _opened(session)).resumed
        assert (await session.say("hi")).texts == ["ok"]
        (received,) = await agent.received(1)
        # What begins a conversation is not repeated.
        assert received.line.split()[1] == "/chat"
        await rest.disconnect(connection)


@pytest.mark.parametrize(
    "settings, resume",
    [
        ({}, resumed(unsettled=("m0",))),
        ({}, resumed("m0", pending=True)),
        ({"body": _HISTORY}, resumed("m0")),
        ({"cookies": True}, resumed("m0")),
        ({"remember": {"id": "$.id"}}, resumed("m0")),
    ],
    ids=["unsettled", "answer pending", "history", "cookies", "id of the agent"],
)
async def test_otherwise_it_does_not(
    rest: Rest, settings: dict[str, Any], resume: conversation_pb2.Resume
) -> None:
    async with ScriptedAgent() as agent:
        connection = await rest.connect(url=agent.url, **settings)
        session = await rest.open(connection, resume=resume)
        assert not (await _opened(session)).resumed
        assert (await session.close()).kinds[-1] == "closed"
        await rest.disconnect(connection)


# --- endings -----------------------------------------------------------------------------------------------


async def test_what_was_said_last_is_still_sent_and_answered(rest: Rest) -> None:
    async with ScriptedAgent() as agent, rest.conversing(url=agent.url) as session:
        await session.send("thanks")
        await session.send("bye")
        end = await session.close()
    assert end.kinds == ["receipt", "message", "turn_complete"] * 2 + ["closed"]


async def test_a_cancelled_conversation_waits_for_nothing(rest: Rest) -> None:
    gate = asyncio.Event()
    async with ScriptedAgent([waits(gate)]) as agent, rest.conversing(url=agent.url) as session:
        await session.send("hi")
        await session.send("are you there?")
        await session.talk.until("receipt")
        await session.talk.close(conversation_pb2.CLOSE_REASON_CANCELLED)
        async with asyncio.timeout(SECONDS / 10):
            rest_of_it = await session.talk.rest()
    receipt, closed = rest_of_it
    assert (receipt.receipt.message_id, receipt.receipt.fault.reason) == ("m2", "CLOSED_BEFORE_SENT")
    assert closed.closed.by == conversation_pb2.CLOSED_BY_HOST


async def test_many_conversations_at_once(rest: Rest) -> None:
    gate = asyncio.Event()
    async with ScriptedAgent([waits(gate)]) as agent:
        connection = await rest.connect(url=agent.url)
        sessions = [await rest.open(connection) for _ in range(300)]
        for session in sessions:
            await session.send("hi")
        await agent.received(len(sessions))
        gate.set()
        turns = await asyncio.gather(*(session.turn() for session in sessions))
        assert all(turn.texts == ["ok"] for turn in turns)
        await rest.disconnect(connection)
