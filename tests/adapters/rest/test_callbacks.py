"""Answers that come by requests of the agent's: signed, unsigned, tampered with, repeated, late."""

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from mimic_adapter_rest.callbacks import signed
from mimic_adapter_rest.settings import Callback
from multidict import CIMultiDict
from pydantic import SecretStr

from tests.adapters.rest.hosting import AGENT, Rest, Session
from tests.adapters.rest.scripted import ScriptedAgent, answer
from tests.support.shapes.running import shape_agent

_SECRET = "callback-secret"
_BODY = (
    '{"conversation_id": {{ conversation_id }}, "message": {{ text }}, "message_id": {{ message_id }}, '
    '"callback_url": {{ callback_url }}}'
)
_REPLY = {"text": "$.text", "ended": "$.ended", "in_reply_to": "$.in_reply_to"}


@asynccontextmanager
async def called_back(
    rest: Rest, agent: ScriptedAgent, **callback: Any
) -> AsyncIterator[tuple[Session, str, aiohttp.ClientSession]]:
    """Converse with an agent that only takes messages; yields where it was told to call back."""
    agent.plays = [answer(202, b"")] * 9
    settings: dict[str, Any] = {"body": _BODY, "reply": _REPLY, "callback": callback}
    async with (
        rest.conversing(url=agent.url, capture_raw=True, **settings) as session,
        aiohttp.ClientSession() as http,
    ):
        await session.send("hi")
        await session.talk.until("receipt")
        url = json.loads((await agent.received(1))[0].body)["callback_url"]
        yield session, url, http


async def post(http: aiohttp.ClientSession, url: str, body: Any, **headers: str) -> tuple[int, Any]:
    async with http.post(url, data=json.dumps(body), headers=headers) as response:
        return response.status, await response.json()


@pytest.mark.parametrize("ends", ["$.final", "quiet"])
async def test_signed(rest: Rest, ends: str) -> None:
    callback = {"ends": ends, "secret": "shape-secret", "quiet_seconds": 0.3}
    settings: dict[str, Any] = {"path": "/messages", "body": _BODY, "reply": _REPLY, "callback": callback}
    async with (
        shape_agent("async-callback") as agent,
        rest.conversing(url=agent.url, **settings) as session,
    ):
        turn = await session.say("many")
        assert turn.texts == ["turn 1: one", "turn 1: two", "turn 1: three"]
        assert {message.message.in_reply_to for message in turn.messages} == {"m1"}
        assert turn.kinds[-1] == "turn_complete"
        # What is delivered twice is told once, and what is forged is not told.
        assert (await session.say("twice")).texts == ["turn 2: twice"]
        assert (await session.say("forge")).texts == ["turn 3: forge"]
        assert (await session.say("bye")).kinds == ["receipt", "message", "closed"]


async def test_without_a_good_signature_nothing_is_taken(rest: Rest) -> None:
    async with ScriptedAgent() as agent, called_back(rest, agent, secret=_SECRET) as (session, url, http):
        body = {"text": "forged"}
        right = hmac.new(_SECRET.encode(), json.dumps(body).encode(), hashlib.sha256).hexdigest()
        for signature in ("", "sha256=", f"sha256={'0' * 64}", right, "sha256=nonsense", f"sha1={right}"):
            status, _ = await post(http, url, body, **{"X-Hub-Signature-256": signature})
            assert status == 401
        status, _ = await post(http, url, {"text": "other"}, **{"X-Hub-Signature-256": f"sha256={right}"})
        assert status == 401
        assert (await post(http, url, body, **{"X-Hub-Signature-256": f"sha256={right}"}))[0] == 200
        message = await session.talk.until("message")
        assert message.message.message.parts[0].text.text == "forged"
        refused = [event.raw.fault for event in session.talk.events if event.raw.HasField("fault")]
        assert len(refused) == 7
        assert {(fault.source, fault.reason) for fault in refused} == {(AGENT, "CALLBACK_NOT_SIGNED")}


def test_signatures_of_other_forms() -> None:
    settings = Callback(
        secret=SecretStr(_SECRET),
        signature_header="X-Sign",
        signature_prefix="",
        signature_algorithm="sha1",
        signature_encoding="base64",
    )
    signature = base64.b64encode(hmac.new(_SECRET.encode(), b"body", hashlib.sha1).digest()).decode()
    assert signed(settings, CIMultiDict({"x-sign": signature}), b"body")
    assert not signed(settings, CIMultiDict({"x-sign": signature}), b"bodY")
    assert signed(Callback(), CIMultiDict(), b"body")


async def test_malformed_callbacks_are_told_and_change_nothing(rest: Rest) -> None:
    async with ScriptedAgent() as agent, called_back(rest, agent, ends="$.final") as (session, url, http):
        async with http.post(url, data=b"{") as response:
            assert response.status == 400
        assert (await post(http, url, {"answer": "hi"}))[0] == 400
        assert (await post(http, f"{url}0", {"text": "hi"}))[0] == 404
        assert (await post(http, url, {"text": "hi", "final": True}))[0] == 200
        turn = await session.turn()
        assert turn.texts == ["hi"]
        faults = [raw.fault.reason for raw in turn.raw if raw.HasField("fault")]
        assert faults == ["AGENT_NOT_JSON", "AGENT_REPLY_MISSING"]


async def test_messages_are_changed_and_taken_back(rest: Rest) -> None:
    async with ScriptedAgent() as agent, called_back(rest, agent) as (session, url, http):
        _, told = await post(http, f"{url}/v3/activities", {"text": "helo"})
        async with http.put(f"{url}/v3/activities/{told['id']}", json={"text": "hello"}) as response:
            assert response.status == 200
        async with http.delete(f"{url}/v3/activities/{told['id']}") as response:
            assert response.status == 200
        first = (await session.talk.until("message")).message.message
        edit = (await session.talk.until("message")).message.message
        deletion = (await session.talk.until("message")).message.message
        assert (first.id, edit.replaces, edit.parts[0].text.text) == (told["id"], told["id"], "hello")
        assert (deletion.replaces, deletion.deleted) == (told["id"], True)


async def test_one_address_for_all_conversations(rest: Rest) -> None:
    callback = {"conversation": "$.conversation_id", "ends": "$.final"}
    async with ScriptedAgent() as agent, called_back(rest, agent, **callback) as (session, url, http):
        base, _, conversation_id = url.rpartition("/")
        body = {"text": "hi", "final": True, "conversation_id": conversation_id}
        assert (await post(http, base, body))[0] == 200
        assert (await session.turn()).texts == ["hi"]


async def test_each_request_of_a_turn_owes_its_last_callback(rest: Rest) -> None:
    async with ScriptedAgent() as agent, called_back(rest, agent, ends="$.final") as (session, url, http):
        await post(http, url, {"text": "one", "final": True})
        assert (await session.turn()).texts == ["one"]
        await session.send("a", more=True)
        await session.send("b")
        await agent.received(3)
        await post(http, url, {"text": "two", "final": True, "in_reply_to": "m2"})
        await post(http, url, {"text": "three", "final": True, "in_reply_to": "m3"})
        turn = await session.turn()
        assert turn.texts == ["two", "three"]
        assert [message.message.in_reply_to for message in turn.messages] == ["m2", "m3"]


async def test_the_listener_ends_with_its_connection(rest: Rest) -> None:
    async with ScriptedAgent() as agent:
        async with called_back(rest, agent) as (_, url, http):
            assert (await post(http, url, {"text": "hi"}))[0] == 200
        async with aiohttp.ClientSession() as http:
            with pytest.raises(aiohttp.ClientConnectorError):
                await post(http, url, {"text": "hi"})


async def test_an_address_that_is_taken_is_a_wrong_setting(rest: Rest) -> None:
    async with ScriptedAgent() as agent:
        listen = agent.url.removeprefix("http://").partition("/")[0]
        found = await rest.refusal(url=agent.url, body=_BODY, callback={"listen": listen})
    assert "cannot be listened on" in found["settings.callback.listen"]
