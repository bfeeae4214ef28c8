"""Each preset against an agent of its shape, which is a process of its own."""

import json
from typing import Any

import pytest

from tests.adapters.websocket.hosting import AGENT, Adapter, choice
from tests.support.shapes.running import ShapeAgent, shape_agent


def ws(agent: ShapeAgent, path: str = "") -> str:
    return agent.url.replace("http", "ws", 1) + path


async def test_json(adapter: Adapter) -> None:
    settings: dict[str, Any] = {
        "query": {"session": "{{ conversation_id }}", "hello": "1"},
        "secrets": {"token": "good-secret"},
        "hello": [{"send": '{"type": "hello", "token": {{ secrets.token }}}', "expect": "welcome"}],
        "subprotocols": ["chat.v1"],
    }
    async with shape_agent("ws-echo") as agent:
        async with adapter.conversing(url=ws(agent, "/ws"), **settings) as session:
            assert (await session.say("hi")).texts == ["turn 1: hi"]
            turn = await session.say("many")
            assert turn.texts == ["turn 2: one", "turn 2: two", "turn 2: three"]
            assert {message.message.in_reply_to for message in turn.messages} == {"m2"}
            turn = await session.say("pause")
            assert [kind for kind in turn.kinds if kind != "typing"][-1] == "turn_complete"
            assert turn.texts == ["turn 3: pause", "after the pause"]
            turn = await session.say("bye")
            assert turn.texts == ["turn 4: goodbye"]
            assert not (await session.turn()).closed.HasField("fault")
        async with adapter.conversing(url=ws(agent, "/ws"), **settings) as session:
            fault = (await session.say("boom")).closed.fault
            assert (fault.source, fault.reason) == (AGENT, "AGENT_ERROR")
            assert fault.message == "the agent sent an error: internal error"
        settings["secrets"] = {"token": "bad"}
        connection = await adapter.connect(url=ws(agent, "/ws"), **settings)
        assert (await adapter.check(connection))[0] == "FAILED"
        received = agent.received()
    assert len({one["conversation_id"] for one in received}) == 2
    assert received[0]["headers"]["sec-websocket-protocol"] == "chat.v1"


async def test_text(adapter: Adapter) -> None:
    settings: dict[str, Any] = {
        "preset": "text",
        "query": {"mode": "text", "greet": "1"},
        "greeting_seconds": 5,
        "hello": [],
    }
    async with (
        shape_agent("ws-echo") as agent,
        adapter.conversing(url=ws(agent, "/ws"), **settings) as session,
    ):
        texts = []
        for said in ("", 'a "quoted" {{ text }}', "{}"):
            if said:
                await session.send(said)
            message = (await session.talk.until("message")).message.message
            texts.append(message.parts[0].text.text)
        await session.send("boom")
        fault = (await session.talk.until("closed")).closed.fault
    assert texts == ["Hello! How can I help?", 'turn 1: a "quoted" {{ text }}', "turn 2: {}"]
    assert (fault.source, fault.reason) == (AGENT, "AGENT_CLOSED")
    assert "1011" in fault.message


async def test_openai_realtime(adapter: Adapter) -> None:
    settings: dict[str, Any] = {
        "preset": "openai-realtime",
        "token": "sk-realtime",
        "variables": {"model": "gpt-realtime-2.1", "instructions": 'Be "brief".'},
    }
    async with shape_agent("openai-realtime") as agent:
        async with adapter.conversing(url=ws(agent), **settings) as session:
            turn = await session.say("hi")
            assert turn.texts == ["turn 1: hi"]
            (message,) = turn.messages
            assert message.message.id.startswith("item_")
            assert message.first_byte.monotonic_nanos < message.last_byte.monotonic_nanos
            assert turn.complete.message_id == "m1"
            turn = await session.say("many")
            assert turn.texts == ["turn 2: one", "turn 2: two", "turn 2: three"]
            for text in ("slow", "at once"):
                await session.send(text)
            assert [(await session.turn()).texts for _ in range(2)] == [["turn 3: slow"], ["turn 4: at once"]]
            await session.send("first part", more=True)
            await session.send("second part")
            assert (await session.turn()).complete.message_id == "m6"
            fault = (await session.say("boom")).closed.fault
            assert (fault.source, fault.reason) == (AGENT, "AGENT_ERROR")
            assert fault.message.endswith("The server had an error.")
        (path,) = {one["path"] for one in agent.received()}
        assert path == "/v1/realtime?model=gpt-realtime-2.1"
        connection = await adapter.connect(url=ws(agent), preset="openai-realtime")
        assert (await adapter.check(connection))[0] == "BAD_CREDENTIALS"


async def test_openai_realtime_that_speaks(adapter: Adapter) -> None:
    settings: dict[str, Any] = {
        "preset": "openai-realtime",
        "token": "sk-realtime",
        "hello": [{"expect": "session.created"}],
    }
    async with (
        shape_agent("openai-realtime") as agent,
        adapter.conversing(url=ws(agent), **settings) as session,
    ):
        assert (await session.say("hi")).texts == ["turn 1: hi"]


async def test_socket_io(adapter: Adapter) -> None:
    settings: dict[str, Any] = {"preset": "socket-io", "secrets": {"token": "io-secret"}}
    async with shape_agent("socket-io", arguments=["--ping-ms", "150"]) as agent:
        async with adapter.conversing(url=ws(agent), capture_raw=True, **settings) as session:
            opened = session.talk.events[0].opened
            turn = await session.say("hi")
            assert turn.texts == ["turn 1: hi"]
            assert [receipt.status for receipt in turn.receipts] == [1, 2]
            assert turn.complete.message_id == "m1"
            assert (await session.say("many")).texts == ["turn 2: one", "turn 2: two", "turn 2: three"]
            pings = 0
            while pings < 3:
                raw = (await session.talk.until("raw")).raw
                pings += raw.payload == "2"
            assert (await session.say("hi")).texts == ["turn 3: hi"]
            raws = [event.raw.payload for event in session.talk.events if event.HasField("raw")]
            assert raws.count("3") >= 3
            assert f'40{{"session_id": "{opened.conversation_ref}", "token": "[redacted]"}}' in raws
            turn = await session.say("bye")
            assert turn.texts == ["turn 4: goodbye"]
            assert not (await session.turn()).closed.HasField("fault")
        async with adapter.conversing(url=ws(agent), **settings) as session:
            fault = (await session.say("boom")).closed.fault
            assert (fault.source, fault.message) == (AGENT, "the agent sent an error: internal error")
        connection = await adapter.connect(url=ws(agent), query={"EIO": "3"}, **settings)
        state, reason = await adapter.check(connection)
        assert (state, "400" in reason) == ("FAILED", True)
        assert {one["conversation_id"] for one in agent.received()} >= {opened.conversation_ref}


async def test_socket_io_in_a_namespace_that_is_not_there(adapter: Adapter) -> None:
    hello = [{"expect": "engine:open"}, {"send": "40/admin,", "expect": "socket:connect"}]
    async with shape_agent("socket-io") as agent:
        connection = await adapter.connect(url=ws(agent), preset="socket-io", hello=hello)
        state, reason = await adapter.check(connection)
    assert (state, reason) == ("FAILED", "the agent refused the conversation: Unable to connect")


async def test_rasa_over_socket_io(adapter: Adapter) -> None:
    settings = {"preset": "rasa-socket-io"}
    async with shape_agent("socket-io") as agent, adapter.conversing(url=ws(agent), **settings) as session:  # type: ignore[arg-type]
        await session.send("buttons")
        message = (await session.talk.until("message")).message.message
        assert message.parts[0].text.text == "turn 1: buttons"
        offered = message.parts[1].choices_offered.choices
        assert [(one.id, one.title) for one in offered] == [("/affirm", "Yes"), ("/deny", "No")]
        await session.send(choice("/affirm", "Yes"))
        message = (await session.talk.until("message")).message.message
        assert message.parts[0].text.text == "turn 2: /affirm"
        opened = session.talk.events[0].opened
        received = agent.received()
    assert {one["conversation_id"] for one in received} == {opened.conversation_ref}


@pytest.mark.parametrize("preset", ["json", "socket-io", "rasa-socket-io", "openai-realtime"])
async def test_what_awkward_texts_become_is_the_same_text(adapter: Adapter, preset: str) -> None:
    shape = {"json": "ws-echo", "openai-realtime": "openai-realtime"}.get(preset, "socket-io")
    text = 'a "b" \\ {{ c }} \N{GRINNING FACE}\n</script>'
    async with shape_agent(shape) as agent:
        url = ws(agent, "/ws" if preset == "json" else "")
        async with adapter.conversing(url=url, preset=preset, token="presets-token") as session:
            await session.send(text)
            message = (await session.talk.until("message")).message.message
        assert message.parts[0].text.text == f"turn 1: {text}"
        assert json.dumps(agent.received()[0]["text"]) == json.dumps(text)
