"""How a conversation ends, by whomever it is ended."""

import asyncio
import time

import grpc
import pytest
from mimic.adapter.v1 import conversation_pb2, message_pb2

from tests.plugin_sdk.host import conversing


async def test_a_receipt_that_the_author_forgot_is_a_fault_of_the_adapter() -> None:
    async with conversing("Endings") as host:
        talk = await host.open()
        await talk.say("m-1", "forget")
        await talk.say("m-2", "forget")
        await talk.close()
        events = await talk.rest()
    receipts = [event.receipt for event in events if event.HasField("receipt")]
    assert [receipt.message_id for receipt in receipts] == ["m-1", "m-2"]
    for receipt in receipts:
        assert receipt.status == conversation_pb2.RECEIPT_STATUS_FAILED
        assert receipt.fault.source == message_pb2.FAULT_SOURCE_ADAPTER
        assert receipt.fault.reason == "RECEIPT_MISSING"
    assert events[-1].closed.by == conversation_pb2.CLOSED_BY_HOST


async def test_only_the_first_of_sent_and_failed_is_told() -> None:
    async with conversing("Endings") as host:
        talk = await host.open()
        await talk.say("m", "twice")
        await talk.close()
        events = await talk.rest()
        ignored = [line for line in host.process.log if line["@message"].startswith("ignored a receipt")]
    assert [event.WhichOneof("event") for event in events] == ["opened", "receipt", "closed"]
    assert len(ignored) == 3


async def test_a_fault_ends_the_call_after_what_was_said_before() -> None:
    async with conversing("Endings") as host:
        talk = await host.open()
        await talk.say("m", "fault")
        failure = await talk.failure()
    assert [event.WhichOneof("event") for event in talk.events] == ["opened", "receipt", "message"]
    assert failure.code is grpc.StatusCode.ABORTED
    assert (failure.source, failure.info.reason) == ("AGENT", "AGENT_LEFT")
    assert failure.message == "the agent left"
    assert failure.info.metadata["remedy"] == "call it back"


async def test_a_fault_inside_a_group_is_found() -> None:
    async with conversing("Endings") as host:
        talk = await host.open()
        await talk.say("m", "group")
        assert (await talk.failure()).info.reason == "AGENT_LEFT"


@pytest.mark.parametrize(
    "text,reason", [("defect", "ADAPTER_DEFECT"), ("return", "RETURNED_EARLY"), ("unknown", "ADAPTER_DEFECT")]
)
async def test_a_defect_is_the_adapters_fault_and_stays_in_its_log(text: str, reason: str) -> None:
    async with conversing("Endings") as host:
        talk = await host.open()
        await talk.say("m", text)
        failure = await talk.failure()
        if text == "defect":
            line = await host.process.logged("ZeroDivisionError")
            assert "a defect" in line["traceback"]
    assert failure.code is grpc.StatusCode.INTERNAL
    assert (failure.source, failure.info.reason) == ("ADAPTER", reason)
    assert "Traceback" not in failure.message
    assert "division" not in failure.message


async def test_after_closed_nothing_follows() -> None:
    async with conversing("Endings") as host:
        talk = await host.open()
        await talk.say("m", "closed")
        events = await talk.rest()
    assert [event.WhichOneof("event") for event in events] == ["opened", "receipt", "closed"]
    assert events[-1].closed.by == conversation_pb2.CLOSED_BY_PLATFORM
    assert events[-1].closed.reason == "the platform hung up"


@pytest.mark.parametrize("text", ["hang", "cling"])
async def test_an_author_who_hangs_is_ended_within_five_seconds(text: str) -> None:
    async with conversing("Endings") as host:
        talk = await host.open()
        await talk.say("m", text)
        await talk.until("receipt")
        began = time.monotonic()
        await talk.close()
        assert [event.WhichOneof("event") for event in await talk.rest()] == ["closed"]
        took = time.monotonic() - began
    assert 3.5 < took < 5


async def test_many_conversations_at_once_do_not_mix() -> None:
    async with conversing("Parts") as host:

        async def one(number: int) -> None:
            talk = await host.open()
            for turn in range(5):
                await talk.say(f"m-{turn}", f"{number}-{turn}")
                said = (await talk.until("message")).message.message
                assert said.parts[0].text.text == f"{number}-{turn}"
                await talk.until("message")
                await talk.until("message")
            await talk.close()
            await talk.rest()
            assert [event.seq for event in talk.events] == list(range(len(talk.events)))

        await asyncio.gather(*(one(number) for number in range(40)))
