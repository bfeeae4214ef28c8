"""The agents of `tests.support.shapes` that speak over a WebSocket."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from tests.support.shapes.running import shape_agent


@asynccontextmanager
async def talking(
    name: str, *arguments: str, headers: dict[str, str] | None = None
) -> AsyncIterator[aiohttp.ClientSession]:
    async with (
        shape_agent(name, arguments=arguments) as agent,
        aiohttp.ClientSession(agent.url, headers=headers) as http,
    ):
        yield http


async def until(socket: aiohttp.ClientWebSocketResponse, kind: str) -> list[dict[str, Any]]:
    """The frames up to one of a type."""
    frames = []
    while True:
        frames.append(json.loads(await socket.receive_str()))
        if frames[-1]["type"] == kind:
            return frames


async def ask(socket: aiohttp.ClientWebSocketResponse, text: str) -> list[str]:
    await socket.send_json({"type": "message", "text": text, "id": "m"})
    frames = await until(socket, "turn_complete")
    assert frames[0] == {"type": "typing"}
    return [frame["text"] for frame in frames if frame["type"] == "message"]


async def test_ws_echo_answers_in_json_and_in_text() -> None:
    async with talking("ws-echo") as http:
        async with http.ws_connect("/ws?session=a", protocols=["chat.v1"]) as socket:
            assert socket.protocol == "chat.v1"
            ready = await until(socket, "ready")
            assert ready == [{"type": "ready", "session": "a", "resumed": False, "last_seq": 0}]
            assert await ask(socket, "hi") == ["turn 1: hi"]
            assert await ask(socket, "many") == ["turn 2: one", "turn 2: two", "turn 2: three"]
            assert await ask(socket, "pause") == ["turn 3: pause", "after the pause"]
            await socket.send_str("not json")
            assert (await until(socket, "error"))[0]["code"] == "bad_frame"
            await socket.send_json({"type": "message", "text": "bye"})
            assert (await until(socket, "ended"))[-2] == {"type": "turn_complete", "ended": True}
            assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
            assert socket.close_code == 1000
        async with http.ws_connect("/ws?mode=text&greet=1") as socket:
            assert await socket.receive_str() == "Hello! How can I help?"
            await socket.send_str("hi")
            assert await socket.receive_str() == "turn 1: hi"
            await socket.send_str("boom")
            await socket.receive()
            assert socket.close_code == 1011


async def test_ws_echo_drops_a_connection_and_resumes_it() -> None:
    async with talking("ws-echo") as http:
        async with http.ws_connect("/ws?session=a") as socket:
            await until(socket, "ready")
            await ask(socket, "hi")
            await socket.send_json({"type": "message", "text": "drop", "id": "m2"})
            frames = [frame.type async for frame in socket]
            assert frames == [aiohttp.WSMsgType.TEXT]
            assert socket.close_code == 1006
        missed = ["said while you were gone", "and this too"]
        async with http.ws_connect("/ws?session=a") as socket:
            assert (await until(socket, "ready"))[0]["resumed"] is True
            assert [json.loads(await socket.receive_str())["text"] for _ in missed] == missed
            assert await ask(socket, "again") == ["turn 3: again"]
        async with http.ws_connect("/ws?session=a&last_seq=3") as socket:
            await until(socket, "ready")
            assert json.loads(await socket.receive_str()) == {
                "type": "message",
                "seq": 4,
                "text": "turn 3: again",
                "in_reply_to": "m",
            }
            async with http.ws_connect("/ws?session=a&last_seq=4") as newer:
                await until(newer, "ready")
                await socket.receive()
                assert socket.close_code == 4001


@pytest.mark.parametrize("hello", [{"type": "hello", "token": "bad"}, {"type": "message", "text": "hi"}])
async def test_ws_echo_wants_a_hello(hello: dict[str, str]) -> None:
    async with talking("ws-echo") as http:
        async with http.ws_connect("/ws?hello=1") as socket:
            await socket.send_json({"type": "hello", "token": "good"})
            assert await until(socket, "welcome")
            await until(socket, "ready")
            assert await ask(socket, "hi") == ["turn 1: hi"]
        async with http.ws_connect("/ws?hello=1") as socket:
            await socket.send_json(hello)
            assert (await until(socket, "error"))[0]["code"] == "unauthorized"
            await socket.receive()
            assert socket.close_code == 4401


async def test_openai_realtime_through_its_own_events() -> None:
    headers = {"Authorization": "Bearer k"}
    async with (
        talking("openai-realtime", headers=headers) as http,
        http.ws_connect("/v1/realtime?model=gpt-realtime") as socket,
    ):

        async def send(kind: str, **fields: Any) -> None:
            await socket.send_json({"type": kind, "event_id": "e1", **fields})

        async def say(text: str) -> None:
            content = [{"type": "input_text", "text": text}]
            item = {"type": "message", "role": "user", "content": content}
            await send("conversation.item.create", item=item)
            kinds = [frame["type"] for frame in await until(socket, "conversation.item.done")]
            assert kinds == ["conversation.item.added", "conversation.item.done"]
            await send("response.create")

        assert (await until(socket, "session.created"))[0]["session"]["model"] == "gpt-realtime"
        await send("session.update", session={"type": "realtime", "output_modalities": ["text"]})
        await until(socket, "session.updated")
        await say("hi")
        frames = await until(socket, "response.done")
        assert [frame["type"] for frame in frames] == [
            "response.created",
            "response.output_item.added",
            "conversation.item.added",
            "response.content_part.added",
            *["response.output_text.delta"] * 3,
            "response.output_text.done",
            "response.content_part.done",
            "response.output_item.done",
            "conversation.item.done",
            "response.done",
        ]
        output = frames[-1]["response"]["output"]
        assert output[0]["content"] == [{"type": "output_text", "text": "turn 1: hi"}]

        await say("slow")
        await send("response.create")
        active = (await until(socket, "error"))[-1]["error"]
        assert (active["code"], active["event_id"]) == ("conversation_already_has_active_response", "e1")
        await send("response.cancel")
        assert (await until(socket, "response.done"))[-1]["response"]["status"] == "cancelled"
        await say("boom")
        assert (await until(socket, "response.done"))[-1]["response"]["status"] == "failed"
        await send("conversation.item.create", item={"type": "message", "role": "user"})
        assert (await until(socket, "error"))[0]["error"]["param"] == "item.content"
        await send("nonsense")
        assert (await until(socket, "error"))[0]["error"]["param"] == "type"


async def test_openai_realtime_wants_a_key_and_speaks_without_modalities() -> None:
    async with shape_agent("openai-realtime") as agent, aiohttp.ClientSession(agent.url) as http:
        async with http.get("/v1/realtime") as response:
            assert response.status == 401
        headers = {"Authorization": "Bearer k"}
        async with http.ws_connect("/v1/realtime", headers=headers) as socket:
            await socket.send_json({"type": "response.create"})
            frames = await until(socket, "response.done")
            assert "response.output_audio_transcript.done" in {frame["type"] for frame in frames}


ENGINE = "/socket.io/?EIO=4&transport=websocket"


async def test_socket_io_messages_and_acknowledgements() -> None:
    async with talking("socket-io") as http, http.ws_connect(ENGINE) as socket:
        opening = await socket.receive_str()
        assert opening[0] == "0"
        assert json.loads(opening[1:])["pingInterval"] == 25_000
        await socket.send_str('42["message","lost, for it comes before CONNECT"]')
        await socket.send_str('40{"session_id":"s"}')
        assert (await socket.receive_str()).startswith('40{"sid":')
        await socket.send_str('427["message",{"text":"hi"}]')
        got = [await socket.receive_str() for _ in range(4)]
        assert got == [
            '42["typing", {}]',
            '437[{"ok": true}]',
            '42["message", {"text": "turn 1: hi"}]',
            '42["turn_complete", {"ended": false}]',
        ]
        await socket.send_str("40/admin,")
        assert await socket.receive_str() == '44/admin,"Unable to connect"'
        await socket.send_str('42["message","bye"]')
        rest = [frame.data async for frame in socket]
        assert rest[-2:] == ['42["turn_complete", {"ended": true}]', "41"]


async def test_socket_io_speaks_rasa() -> None:
    async with talking("socket-io") as http, http.ws_connect(ENGINE) as socket:
        await socket.receive_str()
        await socket.send_str("40")
        await socket.receive_str()
        await socket.send_str('42["session_request",{"session_id":null}]')
        name, session = json.loads((await socket.receive_str())[2:])
        assert name == "session_confirm"
        message = {"message": "buttons", "session_id": session}
        await socket.send_str(f"42{json.dumps(['user_uttered', message])}")
        name, body = json.loads((await socket.receive_str())[2:])
        assert (name, body["text"]) == ("bot_uttered", "turn 1: buttons")
        assert [choice["payload"] for choice in body["quick_replies"]] == ["/affirm", "/deny"]


async def test_socket_io_drops_who_does_not_answer_a_ping() -> None:
    async with talking("socket-io", "--ping-ms", "200") as http, http.ws_connect(ENGINE) as socket:
        await socket.receive_str()
        for _ in range(2):
            assert await socket.receive_str() == "2"
            await socket.send_str("3")
        assert await socket.receive_str() == "2"
        async with asyncio.timeout(5):
            assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE


async def test_socket_io_refuses_other_versions_and_transports() -> None:
    async with talking("socket-io") as http:
        for query in ("EIO=3&transport=websocket", "EIO=4&transport=polling", ""):
            async with http.get(f"/socket.io/?{query}") as response:
                assert response.status == 400
