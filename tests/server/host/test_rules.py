"""An adapter that breaks a rule loses that conversation, which names the rule, and nothing else."""

from __future__ import annotations

import asyncio
import dataclasses

import pytest
from mimic_server.domain.adapters import ClosedEvent, ReceiptEvent
from mimic_server.domain.errors import FaultError
from mimic_server.domain.faults import FaultSource
from mimic_server.domain.ports import ConversationLost
from mimic_server.host import PluginHost

from tests.server.host.playground import QUICK, Chat, Hosts, connection, logged, neighbour, status_of

BROKEN = {
    "unknown-receipt": "which was not sent (rule 2)",
    "sent-twice": "a second receipt",
    "sent-after-failed": "a second receipt",
    "delivered-after-failed": "was not SENT before (rule 2)",
    "delivered-first": "was not SENT before (rule 2)",
    "odd-receipt": "status 77",
    "receipt-without-time": "no time (rule 8)",
    "answer-before-sent": "before its SENT (rule 3)",
    "seq-gap": "left a gap: 4 came after 0",
    "seq-repeats": "went back: 1 came after 1",
    "seq-goes-back": "went back: 1 came after 3",
    "seq-zero": "went back: 0 came after 0",
    "opened-twice": "Opened came twice (rule 1)",
    "garbage": "not a ConverseResponse",
    "bad-utf8": "not a ConverseResponse",
    "empty-frame": "no events",
    "event-after-closed": "after Closed",
    "ends-without-closed": "without Closed (rule 6)",
    "same-id-twice": "two messages have the id 'same'",
    "no-id": "no id",
    "long-id": "more than 128 bytes",
    "no-parts": "no parts",
    "deletes-nothing": "names no message",
    "no-time": "no `first_byte` (rule 8)",
    "huge-inline-file": "1 MiB",
}
BROKEN_OPENINGS = {
    "message-first": "before Opened (rule 1)",
    "ends-at-once": "before Opened (rule 1)",
    "no-epoch": "no epoch",
    "resumed-unasked": "nobody asked",
    "garbage-first": "not a ConverseResponse",
    "empty-first": "no events",
}


async def test_each_broken_rule_ends_its_conversation_alone(hosts: Hosts) -> None:
    host = hosts("good")
    over = connection("good")
    async with neighbour(host, over):
        for words, rule in BROKEN.items():
            chat = await Chat.open(host, over)
            chat.send(words)
            assert rule in await chat.violation(), words
        for name, rule in BROKEN_OPENINGS.items():
            with pytest.raises(FaultError) as caught:
                await Chat.open(host, over, name)
            assert caught.value.fault.reason == "CONTRACT_VIOLATION"
            assert rule in caught.value.fault.message
    assert status_of(host, "good").sessions == 0
    assert status_of(host, "good").restarts == 0


async def test_what_came_before_the_breach_is_heard(hosts: Hosts) -> None:
    chat = await Chat.open(hosts("good"), connection("good"))
    chat.send("event-after-closed")
    await chat.violation()
    assert [type(event) for event in chat.heard] == [ReceiptEvent, ClosedEvent]


async def test_the_breach_is_in_the_adapters_log_with_its_session(hosts: Hosts) -> None:
    host = hosts("good")
    chat = await Chat.open(host, connection("good"))
    chat.send("seq-gap")
    await chat.violation()
    assert "left a gap" in await logged(host, "good", "broke the contract")
    lines = [line async for line in host.logs("good", follow=False, level="error")]
    assert [line.session_id for line in lines] == [str(chat.request.session_id)]


async def test_a_frame_beyond_the_bound_ends_its_conversation(hosts: Hosts) -> None:
    host: PluginHost = hosts("good", limits=dataclasses.replace(QUICK, message_bytes=1_000_000))
    over = connection("good")
    async with neighbour(host, over):
        chat = await Chat.open(host, over)
        chat.send("too-large")
        error = await chat.end()
    assert isinstance(error, FaultError)
    assert (error.fault.source, error.fault.reason) == (FaultSource.ADAPTER, "RESOURCE_EXHAUSTED")


@pytest.mark.parametrize("flood", ["flood", "flood-of-unknown", "large-flood"])
async def test_a_flood_of_events_starves_nobody(hosts: Hosts, flood: str) -> None:
    host = hosts("good", "small", limits=dataclasses.replace(QUICK, events_per_second=200))
    chat = await Chat.open(host, connection("small"))
    beside = await Chat.open(host, connection("small"))
    async with neighbour(host, connection("good")):
        chat.send(flood)
        await chat.events()
        reading = asyncio.create_task(chat.end())
        for _ in range(20):
            assert await beside.say("hello") == "hello"
    chat.conversation.abandon()
    assert isinstance(await reading, ConversationLost)
