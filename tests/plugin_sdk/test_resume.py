"""A session outlives its stream: nothing is missing, nothing comes twice."""

import asyncio
import signal

import grpc
import pytest
from mimic.adapter.v1 import conversation_pb2

from tests.plugin_sdk.host import SECONDS, Host, Talk, conversing


def _resume(talk: Talk, last_seq: int, **more: list[str]) -> conversation_pb2.Resume:
    return conversation_pb2.Resume(epoch=talk.events[0].opened.epoch, last_seq=last_seq, **more)  # type: ignore[arg-type]


async def _answered_half(host: Host) -> Talk:
    """Begin a conversation whose author, after his first answer, waits for the signal."""
    talk = await host.open("s-1")
    await talk.say("m-1", "hello")
    await talk.until("message")
    await host.process.logged("waiting for the signal")
    return talk


async def test_in_the_same_process_everything_after_last_seq_is_repeated_and_goes_on() -> None:
    async with conversing("Resuming") as host:
        first = await _answered_half(host)
        await first.cancel()
        host.process.process.send_signal(signal.SIGUSR1)
        await host.process.logged("answered m-1")
        second = await host.open("s-1", resume=_resume(first, 1))
        opened = (await second.event()).opened
        assert (opened.resumed, opened.conversation_ref) == (True, "first")
        assert opened.epoch == first.events[0].opened.epoch
        repeated, new = [await second.event() for _ in range(2)]
        assert repeated == first.events[2]
        assert (new.seq, new.message.message.parts[0].text.text) == (3, "2 hello")
        await second.close()
        assert (await second.rest())[-1].seq == 4


async def test_a_host_that_resumes_before_its_old_stream_has_ended_is_let_in() -> None:
    async with conversing("Resuming") as host:
        first = await _answered_half(host)
        for _ in range(5):
            first.call.cancel()
            talk = await host.open("s-1", resume=_resume(first, 2))
            assert (await talk.until("opened")).opened.resumed
            first.call = talk.call


async def test_a_session_that_has_ended_repeats_what_the_host_did_not_store() -> None:
    async with conversing("Faces") as host:
        first = await host.open("s-1")
        await first.until("message")
        await first.close()
        events = await first.rest()
        second = await host.open("s-1", resume=_resume(first, 1))
        assert (await second.event()).opened.resumed
        assert await second.rest() == events


@pytest.mark.parametrize("last_seq", [0, 99])
async def test_what_is_forgotten_or_never_was_cannot_be_resumed(last_seq: int) -> None:
    async with conversing("Echo") as host:
        first = await host.open("s-1")
        await first.say("m-1", "one")
        await first.until("turn_complete")
        await first.say("m-2", "two", ack=3)
        await first.until("turn_complete")
        await first.cancel()
        second = await host.open("s-1", resume=_resume(first, last_seq))
        assert not (await second.event()).opened.resumed
        await second.close()
        assert (await second.rest())[-1].closed.by == conversation_pb2.CLOSED_BY_HOST
        third = await host.open("s-1", resume=_resume(first, 3))
        assert (await third.event()).opened.resumed
        assert [(await third.event()).seq for _ in range(3)] == [4, 5, 6]


async def test_a_host_that_stays_away_loses_the_session() -> None:
    async with conversing("Forgetful") as host:
        first = await _answered_half(host)
        await first.cancel()
        await host.process.logged("cancelled")
        second = await host.open("s-1", resume=_resume(first, 2))
        assert not (await second.event()).opened.resumed


async def test_a_session_begun_anew_ends_what_was_left_of_it() -> None:
    async with conversing("Resuming") as host:
        first = await _answered_half(host)
        await first.cancel()
        second = await host.open("s-1", attempt=2)
        assert not (await second.event()).opened.resumed
        await host.process.logged("cancelled")
        await second.say("m-1", "hello")
        assert (await second.until("message")).seq == 2


async def test_of_another_process_the_author_is_asked() -> None:
    resume = conversation_pb2.Resume(
        epoch="known", last_seq=9, settled_message_ids=["m-1"], unsettled_message_ids=["m-2"]
    )
    async with conversing("Resuming") as host:
        talk = await host.open("s-1", resume=resume)
        opened = (await talk.event()).opened
        assert (opened.resumed, opened.conversation_ref) == (True, "again")
        settled = await talk.event()
        assert (settled.seq, settled.receipt.message_id) == (1, "m-2")
        await talk.say("m-1", "a stored one is not sent again")
        await talk.say("m-2", "nor a settled one")
        again = await talk.event()
        assert (again.seq, again.receipt) == (2, settled.receipt)
        await talk.close()
        assert [event.WhichOneof("event") for event in await talk.rest()] == ["closed"]


async def test_an_author_who_cannot_resume_says_so() -> None:
    async with conversing("Resuming") as host:
        talk = await host.open("s-1", resume=conversation_pb2.Resume(epoch="unknown", last_seq=9))
        assert not (await talk.event()).opened.resumed


async def test_a_repeated_send_repeats_its_receipts_and_sends_nothing() -> None:
    async with conversing("Parts") as host:
        talk = await host.open("s-1")
        await talk.say("m-1", "hello")
        first = [await talk.until("receipt") for _ in range(3)]
        for _ in range(3):
            await talk.until("message")
        await talk.say("m-1", "hello")
        again = [await talk.event() for _ in range(3)]
        assert [event.receipt for event in again] == [event.receipt for event in first]
        assert [event.seq for event in again] == [8, 9, 10]
        await talk.close()
        assert [event.WhichOneof("event") for event in await talk.rest()] == ["closed"]


async def test_a_send_that_was_lost_on_the_way_is_settled_where_the_host_does_not_repeat() -> None:
    async with conversing("OnceOnly") as host:
        first = await _answered_half(host)
        await first.cancel()
        lost = _resume(first, 2, unsettled_message_ids=["m-1", "m-2"])
        second = await host.open("s-1", resume=lost)
        receipt = (await second.until("receipt")).receipt
        assert receipt.message_id == "m-2"
        assert receipt.fault.reason == "SEND_LOST"


async def test_a_stream_of_an_open_session_is_refused_even_for_a_resume() -> None:
    async with conversing("Resuming") as host:
        first = await _answered_half(host)
        taken = await (await host.open("s-1", resume=_resume(first, 2))).failure()
        assert taken.code is grpc.StatusCode.ALREADY_EXISTS
        host.process.process.send_signal(signal.SIGUSR1)
        async with asyncio.timeout(SECONDS):
            assert (await first.until("message")).seq == 3
