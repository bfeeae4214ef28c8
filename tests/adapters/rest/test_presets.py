"""Each preset against an agent of its shape, in another process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, get_args

import pytest
from mimic_adapter_rest.presets import load, with_preset
from mimic_adapter_rest.profile import compile_profile
from mimic_adapter_rest.settings import Preset, RestSettings

from tests.adapters.rest.hosting import Rest, Session, Turn, choice
from tests.support.agents import support_agent
from tests.support.shapes.running import ShapeAgent, shape_agent

PRESETS: tuple[str, ...] = get_args(Preset)
_MANY = ["one", "two", "three"]


@asynccontextmanager
async def talking(
    rest: Rest, shape: str, *, below: str = "", **settings: Any
) -> AsyncIterator[tuple[Session, ShapeAgent]]:
    """Run an agent of a shape, and begin a conversation with it."""
    async with (
        shape_agent(shape) as agent,
        rest.conversing(url=f"{agent.url}{below}", **settings) as session,
    ):
        yield session, agent


def timed(turn: Turn) -> tuple[int, int]:
    """How long the turn's only message took to begin and to end, in nanoseconds after it was SENT."""
    (message,) = turn.messages
    (receipt,) = turn.receipts
    sent = receipt.time.monotonic_nanos
    return message.first_byte.monotonic_nanos - sent, message.last_byte.monotonic_nanos - sent


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_are_settings(preset: Preset) -> None:
    settings = with_preset(RestSettings(url="http://127.0.0.1/", preset=preset))
    compile_profile(settings)
    # Streamed, templates take other ways.
    compile_profile(settings.model_copy(update={"stream": True}))


def test_what_is_set_stands_above_the_preset() -> None:
    given = {
        "url": "http://h/",
        "preset": "bot-framework",
        "setup": None,
        "callback": {"listen": "0.0.0.0:8090"},
        "reply": {"text": "$.speak"},
    }
    settings = with_preset(RestSettings.model_validate(given))
    below = load("bot-framework")
    assert settings.setup is None
    assert settings.callback is not None
    assert (settings.callback.listen, settings.callback.ends) == ("0.0.0.0:8090", below["callback"]["ends"])
    assert (settings.reply.text, settings.reply.role) == ("$.speak", below["reply"]["role"])


async def test_plain(rest: Rest) -> None:
    async with support_agent() as agent, rest.conversing(url=f"{agent.url}/chat") as session:
        turn = await session.say("Where is my order NW-10234?")
        assert turn.kinds == ["receipt", "message", "turn_complete"]
        assert "NW-10234" in turn.texts[0]
        assert turn.messages[0].message.in_reply_to == "m1"
        first, last = timed(turn)
        assert 0 < first <= last
        ended = await session.say("bye")
        assert ended.kinds == ["receipt", "message", "closed"]
        assert "conversation is over" in ended.closed.reason
        received = agent.received()
    assert [message.header_message_id for message in received] == ["m1", "m2"]
    assert [message.message_id for message in received] == ["m1", "m2"]
    assert len({message.conversation_id for message in received}) == 1


@pytest.mark.parametrize("stream", [False, True])
async def test_openai_chat(rest: Rest, stream: bool) -> None:
    settings: dict[str, Any] = {"preset": "openai-chat", "token": "sk-of-the-test", "stream": stream}
    async with talking(rest, "openai-chat", **settings) as (session, _):
        assert (await session.say("hi")).texts == ["turn 1: hi"]
        turn = await session.say("how are you?")
        # The server counts the user's messages: the whole conversation went with the request.
        assert turn.texts == ["turn 2: how are you?"]
        first, last = timed(turn)
        assert 0 < first <= last
        failure = await session.fails("boom")
    assert (failure.source, failure.info.reason) == ("AGENT", "AGENT_HTTP_STATUS")


@pytest.mark.parametrize("stream", [False, True])
async def test_openai_responses(rest: Rest, stream: bool) -> None:
    settings: dict[str, Any] = {"preset": "openai-responses", "token": "sk-of-the-test", "stream": stream}
    async with talking(rest, "openai-responses", below="/v1", **settings) as (session, _):
        assert (await session.say("hi")).texts == ["turn 1: hi"]
        turn = await session.say("many")
        assert turn.texts == [f"turn 2: {word}" for word in _MANY]
        assert len({message.message.id for message in turn.messages}) == 3
        failure = await session.fails("boom")
    assert (failure.source, failure.info.reason) == (
        "AGENT",
        "AGENT_ERROR" if stream else "AGENT_HTTP_STATUS",
    )


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("preset", ["a2a", "a2a-0.3"])
async def test_a2a(rest: Rest, preset: str, stream: bool) -> None:
    async with talking(rest, "a2a", preset=preset, stream=stream) as (session, agent):
        assert (await session.say("hi")).texts == ["turn 1: hi"]
        assert (await session.say("task now")).texts == ["turn 2: task now"]
        assert (await session.say("many")).texts == [f"turn 3: {word}" for word in _MANY]
        # The agent asks back; the answer goes to the same task, and the next message to none.
        assert (await session.say("input")).texts == ["Which one?"]
        assert (await session.say("the red one")).texts[-1] == "turn 5: the red one"
        assert (await session.say("hi")).texts == ["turn 6: hi"]
        failure = await session.fails("boom")
        conversations = {entry["conversation_id"] for entry in agent.received()}
    assert len(conversations) == 1
    assert (failure.source, failure.info.reason) == ("AGENT", "AGENT_ERROR")


@pytest.mark.parametrize("preset", ["a2a", "a2a-0.3"])
async def test_a2a_fetches_what_is_not_ready(rest: Rest, preset: Preset) -> None:
    body = load(preset)["body"].rstrip().removesuffix("}}")
    blocking = '"returnImmediately": true' if preset == "a2a" else '"blocking": false'
    settings: dict[str, Any] = {
        "preset": preset,
        "body": f'{body}, "configuration": {{{blocking}}}}}}}',
        "poll": {"interval_seconds": 0.05},
    }
    async with talking(rest, "a2a", **settings) as (session, _):
        assert (await session.say("slow")).texts == ["turn 1: slow"]


async def test_rasa(rest: Rest) -> None:
    async with talking(rest, "rasa", preset="rasa") as (session, agent):
        assert (await session.say("many")).texts == [f"turn 1: {word}" for word in _MANY]
        (message,) = (await session.say("buttons")).messages
        text, choices = message.message.parts
        assert text.text.text == "turn 2: buttons"
        offered = choices.choices_offered.choices
        assert [(one.id, one.title) for one in offered] == [("/affirm", "Yes"), ("/deny", "No")]
        assert (await session.say(choice("/affirm", "Yes"))).texts == ["turn 3: /affirm"]
        # A failure of Rasa's is an empty answer: the agent said nothing.
        silent = await session.say("boom")
        assert silent.kinds == ["receipt", "turn_complete"]
        assert [entry["text"] for entry in agent.received()] == ["many", "buttons", "/affirm", "boom"]


@pytest.mark.parametrize("stream", [False, True])
async def test_langgraph(rest: Rest, stream: bool) -> None:
    async with talking(rest, "langgraph", preset="langgraph", stream=stream) as (session, _):
        assert (await session.say("hi")).texts == ["turn 1: hi"]
        turn = await session.say("many")
        assert turn.texts == [f"turn 2: {word}" for word in _MANY]
        failure = await session.fails("boom")
    assert (failure.source, failure.info.reason) == ("AGENT", "AGENT_ERROR")
    assert "RuntimeError" in failure.message


async def test_ag_ui(rest: Rest) -> None:
    async with talking(rest, "ag-ui", preset="ag-ui") as (session, _):
        assert (await session.say("hi")).texts == ["turn 1: hi"]
        turn = await session.say("many")
        assert turn.texts == [f"turn 2: {word}" for word in _MANY]
        assert [message.message.id for message in turn.messages] == ["m2-0", "m2-1", "m2-2"]
        failure = await session.fails("boom")
    assert (failure.source, failure.info.reason) == ("AGENT", "AGENT_ERROR")
    assert "boom" in failure.message


async def test_vercel_ai(rest: Rest) -> None:
    async with talking(rest, "vercel-ai", preset="vercel-ai") as (session, _):
        turn = await session.say("hi")
        assert turn.texts == ["turn 1: hi"]
        again = await session.say("many")
        assert again.texts == [f"turn 2: {word}" for word in _MANY]
        # The parts of each answer are numbered from 0 again; messages' ids are not.
        ids = [message.message.id for message in (*turn.messages, *again.messages)]
        assert len(set(ids)) == 4
        failure = await session.fails("boom")
    assert (failure.source, failure.info.reason) == ("AGENT", "AGENT_ERROR")
    assert "An error occurred." in failure.message


async def test_bot_framework(rest: Rest) -> None:
    async with shape_agent("bot-framework") as agent:
        connection = await rest.connect(url=agent.url, preset="bot-framework")
        session = await rest.open(connection)
        await session.talk.until("opened")
        greeting = await session.talk.until("message")
        assert greeting.message.message.parts[0].text.text == "welcome"
        turn = await session.say("hi")
        assert turn.kinds == ["receipt", "typing", "message", "turn_complete"]
        assert turn.texts == ["turn 1: hi"]
        assert turn.messages[0].message.in_reply_to == "m1"
        (message,) = (await session.say("choices")).messages
        offered = message.message.parts[1].choices_offered.choices
        assert [(one.id, one.title) for one in offered] == [("yes", "Yes"), ("no", "No")]
        assert (await session.say(choice("yes", "Yes"))).texts == ["turn 3: yes"]
        ended = await session.say("bye")
        assert ended.kinds == ["receipt", "typing", "message", "closed"]
        failing = await rest.open(connection)
        await failing.talk.until("message")
        failure = await failing.fails("boom")
        await rest.disconnect(connection)
    assert (failure.source, failure.info.reason) == ("AGENT", "AGENT_HTTP_STATUS")
