"""Shapes that no preset knows, set by hand, against agents in another process."""

from typing import Any

import pytest

from tests.adapters.rest.hosting import Rest
from tests.support.shapes.running import shape_agent

_MANY = ["one", "two", "three"]
_NESTED = {"messages": "$.data.messages[*]", "text": "$.text", "ended": "$.data.ended"}
_BODY = '{"message": {{ text }}}'


@pytest.mark.parametrize(
    "settings",
    [
        {"path": "/chat", "body": '{"conversation_id": "c-{{ conversation_id }}", "message": {{ text }}}'},
        {"path": "/conversations/{{ conversation_id }}/messages", "body": _BODY},
        {"path": "/header", "body": _BODY, "headers": {"X-Conversation-Id": "{{ conversation_id }}"}},
        {"path": "/cookie", "body": _BODY, "headers": {"Cookie": "session={{ conversation_id }}"}},
        {"path": "/cookie", "body": _BODY, "cookies": True},
    ],
    ids=["body", "path", "header", "cookie", "cookie of the agent"],
)
async def test_the_conversation_is_named_anywhere(rest: Rest, settings: dict[str, Any]) -> None:
    async with shape_agent("http-json") as agent:
        connection = await rest.connect(url=agent.url, reply=_NESTED, **settings)
        first, second = await rest.open(connection), await rest.open(connection)
        assert (await first.say("hi")).texts == ["turn 1: hi"]
        assert (await second.say("hi")).texts == ["turn 1: hi"]
        assert (await first.say("many")).texts == [f"turn 2: {word}" for word in _MANY]
        ended = await first.say("bye")
        assert ended.texts == ["turn 3: goodbye"]
        assert ended.closed.by
        assert (await second.say("hi")).texts == ["turn 2: hi"]
        await rest.disconnect(connection)


async def test_lines_of_deltas(rest: Rest) -> None:
    settings: dict[str, Any] = {
        "path": "/api/chat",
        "body": (
            '{"model": "llama", "messages": [{% for m in history %}{"role": {{ m.role }}, "content": '
            "{{ m.text }}}{% if not loop.last %},{% endif %}{% endfor %}]}"
        ),
        "streaming": {"events": {"*": {"delta": "$.message.content", "done": "$.done"}}},
    }
    async with shape_agent("ndjson") as agent, rest.conversing(url=agent.url, **settings) as session:
        assert (await session.say("hi there")).texts == ["turn 1: hi there"]
        # It counts the user's messages of the request.
        assert (await session.say("you?")).texts == ["turn 2: you?"]


async def test_whole_messages_take_the_place_of_their_deltas(rest: Rest) -> None:
    settings: dict[str, Any] = {
        "path": "/chat",
        "reply": {"text": "$.text"},
        "streaming": {
            "kind": "$.type",
            "events": {
                "delta": {"delta": "$.text"},
                "message": {"whole": "$"},
                "done": {"done": "$", "ended": "$.ended"},
            },
        },
    }
    async with shape_agent("ndjson") as agent, rest.conversing(url=agent.url, **settings) as session:
        assert (await session.say("many")).texts == [f"turn 1: {word}" for word in _MANY]
        ended = await session.say("bye")
        assert ended.texts == ["turn 2: goodbye"]
        assert ended.kinds[-1] == "closed"


_LATER: dict[str, Any] = {
    "path": "/messages",
    "reply": {
        "messages": "$.result.messages[*]",
        "text": "$.text",
        "ended": "$.result.ended",
        "error": "$.error",
    },
    "poll": {"interval_seconds": 0.05},
}


async def test_answers_are_fetched_from_where_they_will_be(rest: Rest) -> None:
    async with shape_agent("polling") as agent, rest.conversing(url=agent.url, **_LATER) as session:
        assert (await session.say("slow")).texts == ["turn 1: slow"]
        assert (await session.say("many")).texts == [f"turn 2: {word}" for word in _MANY]
        failure = await session.fails("boom")
    assert (failure.source, failure.info.reason) == ("AGENT", "AGENT_ERROR")


async def test_answers_are_fetched_by_an_id_of_the_agents(rest: Rest) -> None:
    poll = {
        "path": "/operations/{{ saved.operation }}",
        "pending": "$[?@=='running']",
        "interval_seconds": 0.05,
    }
    settings: dict[str, Any] = {**_LATER, "poll": poll, "remember": {"operation": "$.id"}}
    async with shape_agent("polling") as agent, rest.conversing(url=agent.url, **settings) as session:
        assert (await session.say("slow")).texts == ["turn 1: slow"]
