"""The agents of `tests.support.shapes`, each over its real socket, as its platform's clients talk to it."""

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from tests.support.shapes.running import ShapeAgent, shape_agent


@asynccontextmanager
async def talking(name: str) -> AsyncIterator[tuple[ShapeAgent, aiohttp.ClientSession]]:
    # Without `unsafe` aiohttp keeps no cookie of an address that is a number.
    jar = aiohttp.CookieJar(unsafe=True)
    async with shape_agent(name) as agent, aiohttp.ClientSession(agent.url, cookie_jar=jar) as http:
        yield agent, http


async def post(http: aiohttp.ClientSession, path: str, body: Any, **options: Any) -> tuple[int, Any]:
    async with http.post(path, json=body, **options) as response:
        if response.content_type == "application/json":
            return response.status, await response.json()
        return response.status, await response.text()


async def events(
    http: aiohttp.ClientSession, path: str, body: Any, **options: Any
) -> list[tuple[str | None, Any]]:
    """The server-sent events of an answer: each one's name and data."""
    async with http.post(path, json=body, **options) as response:
        assert response.status == 200
        assert response.content_type == "text/event-stream"
        text = await response.text()
    found = []
    for block in text.split("\n\n"):
        lines = [line.partition(": ") for line in block.split("\n") if line and not line.startswith(":")]
        fields = {name: value for name, _, value in lines}
        if fields:
            data = fields["data"]
            found.append((fields.get("event"), data if data == "[DONE]" else json.loads(data)))
    return found


async def test_plain_is_the_example_agent() -> None:
    async with talking("plain") as (agent, http):
        status, body = await post(http, "/chat", {"conversation_id": "c", "message": "hello"})
        assert status == 200
        assert "Northwind" in body["reply"]
        assert len(agent.received()) == 1


async def test_openai_chat_is_the_local_openai_server() -> None:
    headers = {"Authorization": "Bearer k"}
    async with shape_agent("openai-chat") as agent, aiohttp.ClientSession(headers=headers) as http:
        body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}], "stream": True}
        chunks = await events(http, f"{agent.url}/chat/completions", body)
    assert chunks[-1][1] == "[DONE]"
    texts = [chunk["choices"][0]["delta"].get("content") or "" for _, chunk in chunks[:-1]]
    assert "".join(texts) == "turn 1: hi"


async def test_http_json_takes_the_conversation_from_anywhere() -> None:
    async with talking("http-json") as (agent, http):
        for path, body, headers in (
            ("/chat", {"conversation_id": "c1"}, {}),
            ("/conversations/c1/messages", {}, {}),
            ("/header", {}, {"X-Conversation-Id": "c1"}),
            ("/cookie", {}, {}),
        ):
            assert (await post(http, path, {**body, "message": "hi"}, headers=headers))[0] == 200
        again = (await post(http, "/cookie", {"message": "bye"}))[1]["data"]
        assert again["messages"] == [{"text": "turn 2: goodbye"}]
        assert again["ended"] is True
        assert (await post(http, "/header", {"message": "hi"}))[0] == 400
        assert (await post(http, "/chat", {"conversation_id": "c1", "message": "boom"}))[0] == 500
        many = (await post(http, "/chat", {"conversation_id": "c1", "message": "many"}))[1]["data"]
        assert [message["text"] for message in many["messages"]] == [
            "turn 5: one",
            "turn 5: two",
            "turn 5: three",
        ]
        assert [entry["text"] for entry in agent.received()].count("hi") == 4


async def test_rasa() -> None:
    async with talking("rasa") as (_, http):
        path = "/webhooks/rest/webhook"
        await post(http, path, {"sender": "s", "message": "hi"})
        assert await post(http, path, {"sender": "s", "message": "buttons"}) == (
            200,
            [
                {
                    "recipient_id": "s",
                    "text": "turn 2: buttons",
                    "buttons": [
                        {"title": "Yes", "payload": "/affirm"},
                        {"title": "No", "payload": "/deny"},
                    ],
                }
            ],
        )
        assert await post(http, path, {"sender": "s", "message": "boom"}) == (200, [])
        _, lines = await post(http, f"{path}?stream=true", {"sender": "s", "message": "many"})
        assert [json.loads(line)["text"] for line in lines.splitlines()][-1] == "turn 4: three"
        async with http.post(path, data=b"{") as response:
            assert response.status == 400


async def test_vercel_ai() -> None:
    def body(*texts: str) -> dict[str, Any]:
        messages = [
            {"id": f"m{number}", "role": "user", "parts": [{"type": "text", "text": text}]}
            for number, text in enumerate(texts)
        ]
        return {"id": "chat-1", "messages": messages, "trigger": "submit-message"}

    async with talking("vercel-ai") as (_, http):
        await events(http, "/api/chat", body("hi"))
        chunks = [data for _, data in await events(http, "/api/chat", body("hi", "many"))]
        assert chunks[0] == {"type": "start", "messageId": "msg-2"}
        assert chunks[-2:] == [{"type": "finish", "finishReason": "stop"}, "[DONE]"]
        deltas = [chunk for chunk in chunks[:-1] if chunk["type"] == "text-delta"]
        assert "".join(chunk["delta"] for chunk in deltas if chunk["id"] == "text-2") == "turn 2: three"
        failed = [data for _, data in await events(http, "/api/chat", body("boom"))]
        assert {"type": "error", "errorText": "An error occurred."} in failed
        assert (await post(http, "/api/chat", {"messages": []}))[0] == 400


async def test_ag_ui() -> None:
    body = {"threadId": "t", "runId": "r", "messages": [{"id": "1", "role": "user", "content": "hi"}]}
    async with talking("ag-ui") as (_, http):
        await events(http, "/", body)
        sent = [data for _, data in await events(http, "/", body)]
        assert [event["type"] for event in sent] == [
            "RUN_STARTED",
            "TEXT_MESSAGE_START",
            *["TEXT_MESSAGE_CONTENT"] * 3,
            "TEXT_MESSAGE_END",
            "RUN_FINISHED",
        ]
        assert "".join(event.get("delta", "") for event in sent) == "turn 2: hi"
        boom = [{"id": "1", "role": "user", "content": "boom"}]
        failed = [data for _, data in await events(http, "/", {**body, "messages": boom})]
        assert failed[-1]["type"] == "RUN_ERROR"
        status, refused = await post(http, "/", {"runId": "r", "messages": []})
        assert status == 422
        assert refused["detail"][0]["loc"] == ["body", "threadId"]


async def test_ndjson() -> None:
    async with talking("ndjson") as (_, http):
        body = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
        _, text = await post(http, "/api/chat", body)
        lines = [json.loads(line) for line in text.splitlines()]
        assert "".join(line["message"]["content"] for line in lines) == "turn 1: hi"
        assert [line["done"] for line in lines] == [False] * 3 + [True]
        _, whole = await post(http, "/api/chat", {**body, "stream": False})
        assert whole["message"]["content"] == "turn 1: hi"
        _, text = await post(http, "/chat", {"conversation_id": "c", "message": "bye"})
        assert json.loads(text.splitlines()[-1]) == {"type": "done", "ended": True}
        assert (await post(http, "/api/chat", {}))[0] == 400


async def test_polling() -> None:
    async with talking("polling") as (_, http):

        async def ask(text: str) -> tuple[int, Any]:
            async with http.post("/messages", json={"conversation_id": "c", "message": text}) as response:
                assert response.status == 202
                where = response.headers["Location"]
            looks = 0
            while True:
                async with http.get(where) as response:
                    looks += 1
                    answer = await response.json()
                    if response.status == 200:
                        return looks, answer

        looks, answer = await ask("hi")
        assert looks >= 2
        assert answer["result"] == {"messages": [{"text": "turn 1: hi"}], "ended": False}
        assert (await ask("slow"))[1]["result"]["messages"] == [{"text": "turn 2: slow"}]
        assert (await ask("boom"))[1]["status"] == "failed"
        assert (await post(http, "/messages", {"message": "hi"}))[0] == 400
        async with http.get("/operations/none") as response:
            assert response.status == 404


@asynccontextmanager
async def inbox() -> AsyncIterator[tuple[str, asyncio.Queue[tuple[str, dict[str, str], bytes]]]]:
    """An address that takes every POST: its path, headers and body go to the queue."""
    queue: asyncio.Queue[tuple[str, dict[str, str], bytes]] = asyncio.Queue()

    async def take(request: web.Request) -> web.Response:
        queue.put_nowait((request.path, dict(request.headers), await request.read()))
        return web.json_response({"id": f"id-{queue.qsize()}"})

    app = web.Application()
    app.router.add_post("/{tail:.*}", take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}", queue
    finally:
        await runner.cleanup()


async def test_async_callback() -> None:
    async with inbox() as (url, queue), talking("async-callback") as (_, http):

        async def ask(text: str, count: int) -> list[tuple[bool, str, dict[str, Any]]]:
            body = {"conversation_id": "c", "message": text, "callback_url": url, "message_id": "m"}
            assert await post(http, "/messages", body) == (202, {"accepted": True, "id": "m"})
            got = []
            for _ in range(count):
                _, headers, raw = await queue.get()
                wanted = hmac.new(b"shape-secret", raw, hashlib.sha256).hexdigest()
                good = headers["X-Hub-Signature-256"] == f"sha256={wanted}"
                got.append((good, headers["X-Delivery-Id"], json.loads(raw)))
            return got

        ((good, _, body),) = await ask("hi", 1)
        assert good
        assert body == {
            "conversation_id": "c",
            "in_reply_to": "m",
            "sequence": 1,
            "text": "turn 1: hi",
            "final": True,
            "ended": False,
        }
        assert [callback["final"] for _, _, callback in await ask("many", 3)] == [False, False, True]
        first, second = await ask("twice", 2)
        assert first[1] == second[1]
        assert [good for good, _, _ in await ask("forge", 2)] == [False, True]
        assert (await post(http, "/messages", {"message": "hi"}))[0] == 400


@pytest.mark.parametrize("name", ["nonsense", ""])
async def test_an_unknown_shape_is_refused(name: str) -> None:
    with pytest.raises(RuntimeError, match=r"invalid choice|required"):
        async with shape_agent(name):
            pass
