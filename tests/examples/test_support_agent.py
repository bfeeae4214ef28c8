"""The example agent over its real socket: its interface, its log and its planted faults."""

import asyncio
import os
import subprocess
import sys
import time
from typing import Any

import aiohttp
import pytest

from tests.support.agents import SupportAgent, support_agent
from tests.support.processes import ROOT


class Customer:
    """One conversation with the agent."""

    def __init__(self, agent: SupportAgent, http: aiohttp.ClientSession, conversation_id: str) -> None:
        self._url = f"{agent.url}/chat"
        self._http = http
        self._id = conversation_id

    async def ask(self, text: str) -> dict[str, Any]:
        body = {"conversation_id": self._id, "message": text}
        async with self._http.post(self._url, json=body) as response:
            assert response.status == 200
            answer: dict[str, Any] = await response.json()
            return answer

    async def say(self, text: str) -> str:
        reply = (await self.ask(text))["reply"]
        assert isinstance(reply, str)
        return reply


async def test_finds_an_order_and_forgets_its_number_at_once() -> None:
    async with support_agent() as agent, aiohttp.ClientSession() as http:
        customer = Customer(agent, http, "c1")
        assert "order number" in await customer.say("hey, where is my order?")
        answer = await customer.say("NW-10234")
        assert "NW-10234" in answer
        assert "trekking poles" in answer
        assert "order number" in await customer.say("and when will it arrive?")


async def test_is_rude_about_refunds_only() -> None:
    async with support_agent() as agent, aiohttp.ClientSession() as http:
        customer = Customer(agent, http, "c1")
        refusals = {await customer.say("I want my money back for order 10234") for _ in range(3)}
        assert len(refusals) == 3
        assert all(any(word in text for word in ("stupid", "pathetic", "ridiculous")) for text in refusals)
        assert "welcome" in (await customer.say("hello")).lower()


async def test_changes_an_address_and_says_goodbye() -> None:
    async with support_agent() as agent, aiohttp.ClientSession() as http:
        customer = Customer(agent, http, "c1")
        assert "address" in await customer.say("I moved, can you change my address")
        assert "order number" in await customer.say("Elm Street 5, 12345 Springfield")
        done = await customer.say("10501")
        assert "NW-10501" in done
        assert "Elm Street 5, 12345 Springfield" in done
        assert "ended" not in await customer.ask("thanks")
        assert (await customer.ask("no thanks"))["ended"] is True


async def test_is_slow_about_opening_hours_only() -> None:
    async with support_agent(delay_ms=None, slow_ms=700) as agent, aiohttp.ClientSession() as http:
        customer = Customer(agent, http, "c1")
        await customer.say("hi")
        start = time.monotonic()
        await customer.say("hello again")
        middle = time.monotonic()
        assert "open" in await customer.say("when do you open?")
        assert 0.05 <= middle - start < 0.6
        assert time.monotonic() - middle >= 0.7


async def test_repeats_itself_exactly_for_the_same_conversation() -> None:
    texts = ["hi", "where is my parcel", "it's 10777", "thank you", "bye"]

    async def talk() -> list[str]:
        async with support_agent() as agent, aiohttp.ClientSession() as http:
            customer = Customer(agent, http, "same")
            return [await customer.say(text) for text in texts]

    assert await talk() == await talk()


async def test_logs_each_message_before_it_answers() -> None:
    async with support_agent(slow_ms=60_000) as agent, aiohttp.ClientSession() as http:
        body = {"conversation_id": "c1", "message": "héllo", "message_id": "m1"}
        for _ in range(2):
            await http.post(f"{agent.url}/chat", json=body, headers={"Mimic-Message-Id": "h1"})
        slow = asyncio.create_task(Customer(agent, http, "c2").say("opening hours?"))
        while len(agent.received()) < 3:
            await http.get(f"{agent.url}/healthz")
        first, second, third = agent.received()
        assert (first.conversation_id, first.message_id, first.header_message_id) == ("c1", "m1", "h1")
        assert first.text == second.text == "héllo"
        assert first.monotonic_ns < second.monotonic_ns
        assert (third.conversation_id, third.message_id, third.header_message_id) == ("c2", None, None)
        assert not slow.done()
        slow.cancel()


@pytest.mark.parametrize(
    "body",
    [
        b"not json",
        b"[]",
        b'{"message": "hi"}',
        b'{"conversation_id": 1, "message": "hi"}',
        b'{"conversation_id": "c", "message": " "}',
        b'{"conversation_id": "c", "message": "hi", "message_id": 3}',
    ],
)
async def test_refuses_a_bad_request(body: bytes) -> None:
    async with support_agent() as agent, aiohttp.ClientSession() as http:
        async with http.post(f"{agent.url}/chat", data=body) as response:
            assert response.status == 400
            assert (await response.json())["error"]
        assert agent.received() == []


async def test_holds_200_conversations_at_once() -> None:
    async with support_agent() as agent:
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as http:
            customers = [Customer(agent, http, f"c{number}") for number in range(200)]
            for text in ("hi", "where is order 10234?", "bye"):
                replies = await asyncio.gather(*(customer.say(text) for customer in customers))
                assert all(replies)
        assert len(agent.received()) == 600


async def test_can_be_run_by_its_path() -> None:
    command = [sys.executable, str(ROOT / "examples" / "support_agent" / "__main__.py"), "--help"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = await asyncio.to_thread(
        subprocess.run, command, cwd="/", env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert "--slow-ms" in done.stdout
