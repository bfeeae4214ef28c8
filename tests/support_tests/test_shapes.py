"""The agents of `tests.support.shapes`, each over its real socket, as its platform's clients talk to it."""

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import openai
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


async def test_openai_responses_keeps_a_chain() -> None:
    async with (
        shape_agent("openai-responses") as agent,
        openai.AsyncOpenAI(api_key="k", base_url=f"{agent.url}/v1", max_retries=0) as client,
    ):
        first = await client.responses.create(model="gpt-5-mini", input="hi")
        assert first.output_text == "turn 1: hi"
        assert first.status == "completed"
        history: Any = [
            {"role": "user", "content": "one"},
            {"role": "assistant", "content": "turn 2: one"},
            {"role": "user", "content": [{"type": "input_text", "text": "many"}]},
        ]
        second = await client.responses.create(
            model="gpt-5-mini", input=history, previous_response_id=first.id, store=False
        )
        assert second.output_text == "turn 3: oneturn 3: twoturn 3: three"
        assert (await client.responses.retrieve(first.id)).id == first.id
        with pytest.raises(openai.BadRequestError, match="not found") as caught:
            await client.responses.create(model="m", input="x", previous_response_id=second.id)
        assert caught.value.code == "previous_response_not_found"
        with pytest.raises(openai.InternalServerError):
            await client.responses.create(model="m", input="boom")
        with pytest.raises(openai.BadRequestError):
            await client.responses.create(model="m", input=[{"role": "robot", "content": "x"}])  # type: ignore[misc, list-item]


async def test_openai_responses_streams() -> None:
    async with (
        shape_agent("openai-responses") as agent,
        openai.AsyncOpenAI(api_key="k", base_url=f"{agent.url}/v1", max_retries=0) as client,
    ):
        stream = await client.responses.create(model="gpt-5-mini", input="hello you", stream=True)
        sent = [event async for event in stream]
        assert [event.sequence_number for event in sent] == list(range(len(sent)))
        deltas = [event.delta for event in sent if event.type == "response.output_text.delta"]
        assert deltas == ["turn", " 1:", " hello", " you"]
        assert sent[-1].type == "response.completed"
        assert sent[-1].response.output_text == "turn 1: hello you"
        failed = [
            event async for event in await client.responses.create(model="m", input="boom", stream=True)
        ]
        assert failed[-1].type == "response.failed"


def rpc(method: str, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 7, "method": method, "params": params}


def user(text: str, **ids: str) -> dict[str, Any]:
    return {"messageId": "u1", "role": "ROLE_USER", "parts": [{"text": text}], **ids}


def old_user(text: str, **ids: str) -> dict[str, Any]:
    parts = [{"kind": "text", "text": text}]
    return {"kind": "message", "messageId": "u1", "role": "user", "parts": parts, **ids}


NEW = {"A2A-Version": "1.0"}


async def test_a2a_1_0() -> None:
    async with talking("a2a") as (agent, http):
        async with http.get("/.well-known/agent-card.json") as response:
            card = await response.json()
        assert card["supportedInterfaces"][0]["url"] == f"{agent.url}/"

        async def call(method: str, **params: Any) -> Any:
            status, body = await post(http, "/", rpc(method, **params), headers=NEW)
            assert (status, body["id"], body["jsonrpc"]) == (200, 7, "2.0")
            return body.get("result") or body["error"]

        message = (await call("SendMessage", message=user("hi")))["message"]
        assert message["role"] == "ROLE_AGENT"
        assert message["parts"] == [{"text": "turn 1: hi"}]
        context = message["contextId"]
        task = (await call("SendMessage", message=user("many", contextId=context)))["task"]
        assert task["status"]["state"] == "TASK_STATE_COMPLETED"
        assert ["".join(part["text"] for part in artifact["parts"]) for artifact in task["artifacts"]] == [
            "turn 2: one",
            "turn 2: two",
            "turn 2: three",
        ]
        now = {"returnImmediately": True}
        task = (await call("SendMessage", message=user("slow"), configuration=now))["task"]
        assert task["status"]["state"] == "TASK_STATE_SUBMITTED"
        while task["status"]["state"] != "TASK_STATE_COMPLETED":
            task = await call("GetTask", id=task["id"])
        assert task["artifacts"][0]["parts"][-1] == {"text": "slow"}

        asked = (await call("SendMessage", message=user("input")))["task"]
        assert asked["status"]["state"] == "TASK_STATE_INPUT_REQUIRED"
        done = (await call("SendMessage", message=user("that", taskId=asked["id"])))["task"]
        assert (done["id"], done["status"]["state"]) == (asked["id"], "TASK_STATE_COMPLETED")
        assert len(done["history"]) == 2

        sent = [
            data["result"]
            for _, data in await events(
                http, "/", rpc("SendStreamingMessage", message=user("task")), headers=NEW
            )
        ]
        assert [next(iter(result)) for result in sent] == [
            "task",
            "statusUpdate",
            "artifactUpdate",
            "artifactUpdate",
            "statusUpdate",
        ]
        assert sent[3]["artifactUpdate"]["append"] is sent[3]["artifactUpdate"]["lastChunk"] is True

        assert (await call("SendMessage", message=user("boom")))["code"] == -32603
        assert (await call("SendMessage", message=user("x", taskId="none")))["code"] == -32001
        assert (await call("Nonsense"))["code"] == -32601
        refused = await call("SendMessage", message={"messageId": "m"})
        assert [field["field"] for field in refused["data"][1]["fieldViolations"]] == [
            "message.role",
            "message.parts",
        ]
        _, body = await post(http, "/", rpc("SendMessage", message=user("hi")))
        assert body["error"]["code"] == -32009


async def test_a2a_0_3() -> None:
    async with talking("a2a") as (_, http):
        _, body = await post(http, "/", rpc("message/send", message=old_user("hi")))
        message = body["result"]
        assert (message["kind"], message["role"]) == ("message", "agent")
        assert message["parts"] == [{"kind": "text", "text": "turn 1: hi"}]
        question = rpc("message/stream", message=old_user("task", contextId=message["contextId"]))
        sent = [data["result"] for _, data in await events(http, "/", question)]
        kinds = [result["kind"] for result in sent]
        assert kinds == ["task", "status-update", "artifact-update", "artifact-update", "status-update"]
        assert [result["final"] for result in sent if "final" in result] == [False, True]
        assert sent[2]["artifact"]["parts"] == [{"kind": "text", "text": "turn 2: "}]
        _, body = await post(http, "/", rpc("tasks/get", id=sent[0]["id"]))
        assert body["result"]["status"]["state"] == "completed"
        _, body = await post(http, "/", rpc("message/send"))
        assert body["error"]["code"] == -32600


async def test_a2a_over_plain_http() -> None:
    async with talking("a2a") as (_, http):
        async with http.post("/message:send", json={"message": user("task")}, headers=NEW) as response:
            assert response.content_type == "application/a2a+json"
            task = json.loads(await response.read())["task"]
        async with http.get(f"/tasks/{task['id']}", headers=NEW) as response:
            assert json.loads(await response.read()) == task
        sent = await events(http, "/message:stream", {"message": user("hi")}, headers=NEW)
        assert sent[0][1]["message"]["parts"] == [{"text": "turn 1: hi"}]
        status, body = await post(http, "/message:send", {"message": {}}, headers=NEW)
        assert (status, body["error"]["status"]) == (400, "INVALID_ARGUMENT")
        async with http.get("/tasks/none") as response:
            assert response.status == 404


async def test_langgraph() -> None:
    def run(text: str, **options: Any) -> dict[str, Any]:
        return {
            "assistant_id": "agent",
            "input": {"messages": [{"role": "user", "content": text}]},
            **options,
        }

    async with talking("langgraph") as (_, http):
        _, thread = await post(http, "/threads", {})
        path = f"/threads/{thread['thread_id']}/runs"
        await post(http, f"{path}/wait", run("hi"))
        _, state = await post(http, f"{path}/wait", run("many"))
        assert [message["type"] for message in state["messages"]] == ["human", "ai", "human", *["ai"] * 3]
        assert state["messages"][-1]["content"] == "turn 2: three"

        modes = ["values", "updates", "messages-tuple"]
        sent = await events(http, f"{path}/stream", run("hey", stream_mode=modes))
        assert [name for name, _ in sent] == ["metadata", "values", "values", "updates", "messages"]
        assert sent[1][1]["messages"][-1]["content"] == "hey"
        assert sent[4][1][0]["content"] == "turn 3: hey"

        _, failed = await post(http, f"{path}/wait", run("boom"))
        assert failed == {"__error__": {"error": "RuntimeError", "message": "boom"}}
        assert (await events(http, f"{path}/stream", run("boom")))[-1][0] == "error"
        _, alone = await post(http, "/runs/wait", run("hi"))
        assert alone["messages"][-1]["content"] == "turn 1: hi"

        new = "/threads/0190f3b4-7c1e-7000-8000-000000000009/runs/wait"
        assert (await post(http, new, run("hi")))[0] == 404
        assert (await post(http, new, run("hi", if_not_exists="create")))[0] == 200
        assert (await post(http, "/threads/abc/runs/wait", run("hi")))[0] == 400
        status, refused = await post(http, "/runs/wait", {"input": {}})
        assert status == 422
        assert '"assistant_id" is a required property' in refused["detail"]
        assert (await post(http, "/threads", {"thread_id": thread["thread_id"]}))[0] == 409


async def test_bot_framework() -> None:
    async with inbox() as (url, queue), talking("bot-framework") as (_, http):
        activity = {
            "type": "message",
            "id": "a1",
            "serviceUrl": url,
            "channelId": "emulator",
            "from": {"id": "u"},
            "recipient": {"id": "bot"},
            "conversation": {"id": "c1"},
        }

        async def send(**fields: Any) -> list[tuple[str, dict[str, Any]]]:
            async with http.post("/api/messages", json={**activity, **fields}) as response:
                assert response.status == 201
            return [(path, json.loads(raw)) for path, _, raw in iter_now(queue)]

        typing, (path, message) = await send(text="hi")
        assert typing[1]["type"] == "typing"
        assert path == "/v3/conversations/c1/activities/a1"
        assert message == {
            "type": "message",
            "text": "turn 1: hi",
            "serviceUrl": url,
            "channelId": "emulator",
            "from": {"id": "bot"},
            "conversation": {"id": "c1"},
            "recipient": {"id": "u"},
            "inputHint": "acceptingInput",
            "replyToId": "a1",
        }
        assert (await send(text="bye"))[-1][1]["type"] == "endOfConversation"
        chosen = (await send(text="choices"))[-1][1]
        assert [action["value"] for action in chosen["suggestedActions"]["actions"]] == ["yes", "no"]
        ((path, greeting),) = await send(type="conversationUpdate", membersAdded=[{"id": "u"}, {"id": "bot"}])
        assert (path, greeting["text"]) == ("/v3/conversations/c1/activities", "welcome")
        status, body = await post(
            http, "/api/messages", {**activity, "text": "hi", "deliveryMode": "expectReplies"}
        )
        assert status == 200
        assert [reply["type"] for reply in body["activities"]] == ["typing", "message"]
        assert (await post(http, "/api/messages", {**activity, "text": "boom"}))[0] == 500
        assert (await post(http, "/api/messages", {"text": "hi"}))[0] == 400


def iter_now(queue: asyncio.Queue[Any]) -> list[Any]:
    """What is in a queue already."""
    return [queue.get_nowait() for _ in range(queue.qsize())]


@pytest.mark.parametrize("name", ["nonsense", ""])
async def test_an_unknown_shape_is_refused(name: str) -> None:
    with pytest.raises(RuntimeError, match=r"invalid choice|required"):
        async with shape_agent(name):
            pass
