from __future__ import annotations

import asyncio
import dataclasses
import time
import uuid

import pytest
from mimic_server.domain.adapters import (
    AdapterState,
    ClosedBy,
    ClosedEvent,
    CloseReason,
    MessageEvent,
    OutgoingMessage,
    RawEvent,
    ReceiptEvent,
    TurnCompleteEvent,
    TypingEvent,
)
from mimic_server.domain.errors import FaultError, NotFoundError
from mimic_server.domain.faults import FaultSource
from mimic_server.domain.ids import MessageId, SessionId
from mimic_server.domain.messages import ReceiptStatus, Text
from mimic_server.domain.ports import Adapters, Conversation, ConversationLost

from tests.server.host.playground import (
    DEADLINE_SECONDS,
    QUICK,
    Chat,
    Hosts,
    connection,
    neighbour,
    status_of,
    until,
    words,
)


async def test_the_host_is_what_the_port_asks_for(hosts: Hosts) -> None:
    host = hosts("good")
    adapters: Adapters = host
    chat = await Chat.open(host, connection("good"))
    conversation: Conversation = chat.conversation
    assert sum(status.sessions for status in adapters.statuses()) == 1
    assert conversation.opened.epoch
    assert conversation.opened.conversation_ref == "hostile"
    assert not conversation.opened.resumed


async def test_a_turn_has_a_receipt_the_answer_and_its_end(hosts: Hosts) -> None:
    chat = await Chat.open(hosts("good"), connection("good"))
    receipt, message, complete = await chat.turn("hello")
    assert isinstance(receipt, ReceiptEvent)
    assert (receipt.seq, receipt.message_id, receipt.status) == (1, chat.said[0], ReceiptStatus.SENT)
    assert receipt.time.clock_id == chat.conversation.opened.epoch
    assert isinstance(message, MessageEvent)
    assert (message.seq, words(message), message.in_reply_to) == (2, "hello", chat.said[0])
    assert message.first_byte == message.last_byte
    took = receipt.time.ms_until(message.first_byte)
    assert took is not None
    assert 0 <= took < 1000
    assert isinstance(complete, TurnCompleteEvent)


async def test_messages_of_a_turn_go_in_order(hosts: Hosts) -> None:
    chat = await Chat.open(hosts("good"), connection("good"))
    for number in range(5):
        chat.send(f"part {number}", more=True)
    events = await chat.turn("the last")
    sent = [event.message_id for event in events if isinstance(event, ReceiptEvent)]
    assert sent == chat.said


async def test_one_message_is_sent_once(hosts: Hosts) -> None:
    chat = await Chat.open(hosts("good"), connection("good"))
    message = OutgoingMessage(MessageId("the one"), (Text("hello"),))
    chat.conversation.send([message, message])
    chat.conversation.send([message])
    assert await chat.say("and then?") == "hello"
    await chat.events()
    receipts = [event.message_id for event in chat.heard if isinstance(event, ReceiptEvent)]
    assert receipts == ["the one", chat.said[0]]


async def test_a_text_that_is_too_long_fails_and_the_rest_is_sent(hosts: Hosts) -> None:
    chat = await Chat.open(hosts("good"), connection("good"))
    long = OutgoingMessage(MessageId("long"), (Text("é" * 600), Text("é" * 401)))
    chat.conversation.send([OutgoingMessage(MessageId("short"), (Text("hi"),), more=True), long])
    while not any(isinstance(event, TurnCompleteEvent) for event in chat.heard):
        await chat.events()
    receipts = {event.message_id: event for event in chat.heard if isinstance(event, ReceiptEvent)}
    assert receipts[MessageId("short")].status is ReceiptStatus.SENT
    failed = receipts[MessageId("long")]
    assert failed.status is ReceiptStatus.FAILED
    assert failed.fault is not None
    assert (failed.fault.source, failed.fault.reason) == (FaultSource.MIMIC, "TEXT_TOO_LONG")
    assert failed.seq == 1
    # The turn's last message was refused, so that the one before it is the last for the adapter.
    assert [words(event) for event in chat.heard if isinstance(event, MessageEvent)] == ["hi"]


async def test_typing_goes_where_it_is_declared_and_reading_is_left_out_where_it_is_not(hosts: Hosts) -> None:
    chat = await Chat.open(hosts("good"), connection("good"))
    chat.conversation.read("m1")
    chat.conversation.typing()
    events = await chat.events()
    assert isinstance(events[0], MessageEvent)
    assert words(events[0]) == "I see you type"


async def test_acknowledgements_go_with_the_next_frame_or_soon(hosts: Hosts) -> None:
    chat = await Chat.open(hosts("good"), connection("good"))
    await chat.say("one")
    assert await chat.say("acked") == "3"
    # The adapter holds 8 events at most: at half of them, the host does not wait for a frame to go with.
    chat.send("only-unknown-events")
    await chat.events()
    assert int(await chat.say("acked")) >= 7


async def test_events_that_are_unknown_are_left_out(hosts: Hosts) -> None:
    chat = await Chat.open(hosts("good"), connection("good"))
    assert [type(event) for event in await chat.turn("unknown-event")] == [ReceiptEvent, TurnCompleteEvent]


async def test_repeated_delivery_receipts_are_told_once(hosts: Hosts) -> None:
    chat = await Chat.open(hosts("good"), connection("good"))
    events = await chat.turn("all-receipts")
    statuses = [event.status for event in events if isinstance(event, ReceiptEvent)]
    assert statuses == [ReceiptStatus.SENT, ReceiptStatus.DELIVERED, ReceiptStatus.READ]


async def test_a_failed_receipt_says_why(hosts: Hosts) -> None:
    chat = await Chat.open(hosts("good"), connection("good"))
    failed = (await chat.turn("fail"))[0]
    assert isinstance(failed, ReceiptEvent)
    assert failed.fault is not None
    assert (failed.fault.source, failed.fault.reason) == (FaultSource.CHANNEL, "NOPE")


async def test_raw_payloads_come_only_when_asked_for(hosts: Hosts) -> None:
    host, over = hosts("good"), connection("good")
    asking = await Chat.open(host, over, capture_raw=True)
    raw = (await asking.turn("raw"))[1]
    assert isinstance(raw, RawEvent)
    assert (raw.to_agent, raw.label, len(raw.payload)) == (True, "POST /", 65536)
    other = await Chat.open(host, over)
    assert not any(isinstance(event, RawEvent) for event in await other.turn("raw"))


async def test_close_settles_and_ends(hosts: Hosts) -> None:
    chat = await Chat.open(hosts("good"), connection("good"))
    chat.send("hello")
    await chat.close()
    error = await chat.end()
    assert isinstance(error, ConversationLost)
    assert [type(event) for event in chat.heard] == [
        ReceiptEvent,
        MessageEvent,
        TurnCompleteEvent,
        ClosedEvent,
    ]
    assert isinstance(chat.heard[-1], ClosedEvent)
    assert chat.heard[-1].by is ClosedBy.HOST
    await chat.close()
    with pytest.raises(ConversationLost):
        await chat.conversation.events()
    assert chat.conversation.opened


async def test_the_agent_may_end_it(hosts: Hosts) -> None:
    chat = await Chat.open(hosts("good"), connection("good"))
    chat.send("bye")
    error = await chat.end()
    assert isinstance(error, ConversationLost)
    closed = chat.heard[-1]
    assert isinstance(closed, ClosedEvent)
    assert closed.by is ClosedBy.AGENT


async def test_close_gives_up_in_time(hosts: Hosts) -> None:
    host = hosts("good", limits=dataclasses.replace(QUICK, close_seconds=0.2))
    chat = await Chat.open(host, connection("good"), "never-closes")
    began = time.perf_counter()
    await chat.conversation.close(CloseReason.CANCELLED)
    assert time.perf_counter() - began < 2
    assert status_of(host, "good").sessions == 0


async def test_waiting_for_events_may_be_cancelled(hosts: Hosts) -> None:
    chat = await Chat.open(hosts("good"), connection("good"))
    for _ in range(20):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await chat.conversation.events()
    assert await chat.say("still there?") == "still there?"


async def test_nothing_of_a_conversation_is_left_when_opening_it_is_cancelled(hosts: Hosts) -> None:
    host, over = hosts("good"), connection("good")
    await host.connect(over)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await Chat.open(host, over, "hang")
    assert status_of(host, "good").sessions == 0
    assert await (await Chat.open(host, over)).say("hello") == "hello"


async def test_an_adapter_that_dies_before_it_answers(hosts: Hosts) -> None:
    host = hosts("good")
    with pytest.raises(ConversationLost, match="exit code 8"):
        await Chat.open(host, connection("good"), "crash")


async def test_an_adapter_that_refuses(hosts: Hosts) -> None:
    host = hosts("good")
    with pytest.raises(FaultError) as caught:
        await Chat.open(host, connection("good"), "refuses")
    assert (caught.value.fault.source, caught.value.fault.reason) == (
        FaultSource.ADAPTER,
        "RESOURCE_EXHAUSTED",
    )
    assert status_of(host, "good").sessions == 0


async def test_an_abandoned_conversation_goes_on_on_another_stream(hosts: Hosts) -> None:
    host, over = hosts("good"), connection("good")
    chat = await Chat.open(host, over)
    await chat.say("one")
    await chat.say("two")
    chat.conversation.abandon()
    assert isinstance(await chat.end(), ConversationLost)
    again = await Chat.open(host, over, session_id=chat.request.session_id, resume=chat.resume(3))
    assert again.conversation.opened.resumed
    assert again.conversation.opened.epoch == chat.conversation.opened.epoch
    missed = await again.events()
    assert [event.seq for event in missed] == [4, 5, 6]


async def test_what_is_repeated_too_much_is_dropped(hosts: Hosts) -> None:
    host, over = hosts("good"), connection("good")
    chat = await Chat.open(host, over)
    await chat.say("one")
    await chat.say("two")
    chat.conversation.abandon()
    session_id, stored = chat.request.session_id, chat.resume(3)
    again = await Chat.open(host, over, "repeats-too-much", session_id=session_id, resume=stored)
    assert [event.seq for event in await again.events()] == [4, 5, 6]


async def test_a_message_sent_again_after_a_resume_repeats_its_receipt(hosts: Hosts) -> None:
    host, over = hosts("good"), connection("good")
    chat = await Chat.open(host, over)
    await chat.say("one")
    await chat.say("two")
    chat.conversation.abandon()
    session_id, stored = chat.request.session_id, chat.resume(3)
    again = await Chat.open(host, over, session_id=session_id, resume=stored)
    again.conversation.send([OutgoingMessage(chat.said[1], (Text("two"),))])
    events = [*await again.events(), *await again.events()]
    assert [event.message_id for event in events if isinstance(event, ReceiptEvent)] == [chat.said[1]]


async def test_another_epoch_is_told(hosts: Hosts) -> None:
    host, over = hosts("good"), connection("good")
    chat = await Chat.open(host, over)
    await chat.say("one")
    await host.restart("good")
    assert isinstance(await chat.end(), ConversationLost)
    again = await Chat.open(host, over, session_id=chat.request.session_id, resume=chat.resume(3))
    assert not again.conversation.opened.resumed
    assert again.conversation.opened.epoch != chat.conversation.opened.epoch


async def test_a_stream_that_ends_by_a_fault_says_whose(hosts: Hosts) -> None:
    chat = await Chat.open(hosts("good"), connection("good"))
    chat.send("fault")
    error = await chat.end()
    assert isinstance(error, FaultError)
    assert (error.fault.source, error.fault.reason) == (FaultSource.AGENT, "AGENT_GONE")
    assert len(chat.heard) == 1
    assert await chat.end() is error


async def test_whose_fault_it_was_is_heard_in_the_midst_of_writing(hosts: Hosts) -> None:
    host, over = hosts("good"), connection("good")

    async def break_it() -> str:
        chat = await Chat.open(host, over)
        chat.send("fault")
        for _ in range(60):
            chat.send("and another thing" * 20)
            await asyncio.sleep(0)
        error = await chat.end()
        assert isinstance(error, FaultError)
        return error.fault.reason

    assert await asyncio.gather(*(break_it() for _ in range(50))) == ["AGENT_GONE"] * 50


async def test_a_stream_that_breaks_is_lost(hosts: Hosts) -> None:
    chat = await Chat.open(hosts("good"), connection("good"))
    chat.send("unavailable")
    error = await chat.end()
    assert isinstance(error, ConversationLost)
    assert "come back later" in error.reason


async def test_a_status_without_a_fault_is_the_adapters(hosts: Hosts) -> None:
    chat = await Chat.open(hosts("good"), connection("good"))
    chat.send("internal")
    error = await chat.end()
    assert isinstance(error, FaultError)
    assert (error.fault.source, error.fault.reason) == (FaultSource.ADAPTER, "INTERNAL")


async def test_all_conversations_are_lost_with_the_adapter(hosts: Hosts) -> None:
    host, over = hosts("good"), connection("good")
    chats = await asyncio.gather(*(Chat.open(host, over) for _ in range(20)))
    chats[0].send("crash")
    errors = await asyncio.gather(*(chat.end() for chat in chats))
    assert all(isinstance(error, ConversationLost) for error in errors)
    assert any("exit code 11" in str(error) and "segmentation fault" in str(error) for error in errors)
    assert [type(event) for event in chats[0].heard] == [ReceiptEvent, MessageEvent]
    # What is opened meanwhile waits for the restart.
    assert await (await Chat.open(host, over)).say("hello") == "hello"
    assert status_of(host, "good").restarts == 1


async def test_a_slow_consumer_stops_the_adapter(hosts: Hosts) -> None:
    host, over = hosts("good"), connection("good")
    chat = await Chat.open(host, over)
    async with neighbour(host, connection("good")):
        chat.send("large-flood")
        await chat.events()
        conversation = chat.conversation
        for _ in range(20):
            await asyncio.wait_for(conversation.events(), DEADLINE_SECONDS)
    held = sum(len(words(e)) for e in await conversation.events() if isinstance(e, MessageEvent))
    assert held <= QUICK.buffered_bytes + 1_000_000
    conversation.abandon()


async def test_a_flood_of_events_is_read_at_a_bounded_pace(hosts: Hosts) -> None:
    limits = dataclasses.replace(QUICK, events_per_second=500)
    host = hosts("good", limits=limits)
    chat = await Chat.open(host, connection("good"))
    chat.send("flood")
    began = time.perf_counter()
    while len(chat.heard) < 700:
        await chat.events()
    assert time.perf_counter() - began > 0.2
    assert all(isinstance(event, TypingEvent) for event in chat.heard[1:])
    chat.conversation.abandon()


async def test_more_conversations_than_the_adapter_holds_wait_for_their_turn(hosts: Hosts) -> None:
    host, over = hosts("small"), connection("small")
    first, second = await Chat.open(host, over), await Chat.open(host, over)
    third = asyncio.create_task(Chat.open(host, over))
    assert await first.say("hello") == "hello"
    assert not third.done()
    await second.close()
    assert await (await third).say("hello") == "hello"


async def test_a_waiting_conversation_hears_of_the_adapters_death(hosts: Hosts) -> None:
    host, over = hosts("small"), connection("small")
    chats = [await Chat.open(host, over) for _ in range(2)]
    waiting = [asyncio.create_task(Chat.open(host, over)) for _ in range(3)]
    await chats[1].say("hello")
    chats[0].send("crash")
    for task in waiting:
        with pytest.raises(ConversationLost):
            await task
    await until(host, "small", AdapterState.READY)


async def test_a_thousand_conversations_at_once(hosts: Hosts) -> None:
    host, over = hosts("good"), connection("good")
    chats = await asyncio.gather(*(Chat.open(host, over) for _ in range(1000)))
    assert status_of(host, "good").sessions == 1000
    answers = await asyncio.gather(*(chat.say(f"I am {n}") for n, chat in enumerate(chats)))
    assert answers == [f"I am {n}" for n in range(1000)]
    await asyncio.gather(*(chat.close() for chat in chats))
    assert status_of(host, "good").sessions == 0


async def test_files_of_the_agent(hosts: Hosts) -> None:
    host, over = hosts("good", limits=dataclasses.replace(QUICK, message_bytes=1_000_000)), connection("good")
    await host.connect(over)
    session_id = SessionId(uuid.uuid4())
    assert await host.media("good", session_id, "picture") == b"first second"
    with pytest.raises(NotFoundError):
        await host.media("good", session_id, "forgotten")
    with pytest.raises(FaultError) as caught:
        await host.media("good", session_id, "endless")
    assert caught.value.fault.reason == "MEDIA_TOO_LARGE"


async def test_the_host_may_close_while_conversations_are_open(hosts: Hosts) -> None:
    host, over = hosts("good"), connection("good")
    chats = await asyncio.gather(*(Chat.open(host, over) for _ in range(3)))
    await host.close()
    for chat in chats:
        assert isinstance(await chat.end(), ConversationLost)
    with pytest.raises(FaultError):
        await Chat.open(host, over)
