"""Rules 4 and 5: what a host may say again, and how it goes on after its stream broke."""

from collections.abc import Sequence
from uuid import uuid4

from mimic.adapter.v1 import conversation_pb2, message_pb2

from mimic_plugin_sdk.testing._bench import Bench, Peer
from mimic_plugin_sdk.testing._conversation import (
    SENT,
    Conversation,
    Event,
    name,
    says,
    send,
    settles,
    text_message,
    words,
)
from mimic_plugin_sdk.testing._rule import BrokenError, rule


def _numbered(events: Sequence[Event]) -> list[Event]:
    return [event for event in events if not event.HasField("opened")]


def _resume(session: Conversation, last_seq: int) -> conversation_pb2.Resume:
    """What a host knows that stored the events of a session up to `last_seq`."""
    stored = [event for event in session.events if event.seq <= last_seq]
    settled = [message.id for message in session.sent if any(settles(event, message.id) for event in stored)]
    return conversation_pb2.Resume(
        epoch=session.events[0].opened.epoch,
        last_seq=last_seq,
        settled_message_ids=settled,
        unsettled_message_ids=[message.id for message in session.sent if message.id not in settled],
        answer_pending=True,
    )


def _names(events: Sequence[Event]) -> str:
    return ", ".join(f"{event.seq} {name(event)}" for event in events) or "nothing"


def _goes_on(events: Sequence[Event], last_seq: int) -> None:
    """Raises BrokenError where the events of a resumed stream do not follow on `last_seq`."""
    numbers = [event.seq for event in _numbered(events)]
    if numbers != list(range(last_seq + 1, last_seq + 1 + len(numbers))):
        raise BrokenError(
            f"events from seq {last_seq + 1} on, none missing, none twice", _names(_numbered(events))
        )


@rule("R4-duplicate-send", "A Send with a known id sends nothing and repeats the receipt, where declared")
async def duplicate_send(bench: Bench) -> str:
    peer = await bench.shared()
    peer.needs("idempotent_send")
    async with peer.session() as session:
        message = await session.exchange()
        await session.write(send(message))
        await session.until(
            lambda _: len(_settled(session.events, message.id)) > 1, f"the receipt of {message.id} repeated"
        )
        # What the duplicate brought about, if anything, comes before the answer to a later message.
        later = await session.exchange()
        events = tuple(session.events)
    repeated = _settled(events, message.id)
    if [event.receipt.status for event in repeated] != [SENT, SENT]:
        raise BrokenError(f"SENT of {message.id} repeated once", _names(events))
    text = _text(message)
    if sum(text in says(event) for event in events) != 1:
        raise BrokenError("one answer to a message sent twice", _names(events))
    received = await peer.received(text, by=_text(later))
    if received is not None and received != 1:
        raise BrokenError("the agent to receive it once", f"{received} times")
    return "no witness: judged by the answers alone" if received is None else "the witness saw it once"


def _settled(events: Sequence[Event], message_id: str) -> list[Event]:
    return [event for event in events if settles(event, message_id)]


@rule(
    "R5-resume-repeats",
    "Resumed in the same epoch, a session repeats every event after last_seq, and goes on",
)
async def resume_repeats(bench: Bench) -> None:
    peer = await bench.shared()
    peer.needs("resumable")
    async with peer.session(ack=False) as first:
        if peer.can.max_unacked_events >= 8:
            await first.exchange()
            last_seq = 1
            await first.write(ack=last_seq)
        else:
            await first.settled((await first.say(words())).id)
            last_seq = 0
        await first.cancel()
        stored = _numbered(first.events)
        async with peer.resumed(first, _resume(first, last_seq)) as second:
            _same_conversation(first, second)
            await second.until(lambda event: event.seq >= stored[-1].seq, f"event {stored[-1].seq} again")
            await second.exchange()
    _goes_on(second.events, last_seq)
    again = _numbered(second.events)[: len(stored) - last_seq]
    if again != stored[last_seq:]:
        raise BrokenError(f"the same again: {_names(stored[last_seq:])}", _names(again))


def _same_conversation(first: Conversation, second: Conversation) -> None:
    before, after = first.events[0].opened, second.events[0].opened
    if not after.resumed:
        raise BrokenError("resumed=true", "resumed=false")
    if (after.epoch, after.conversation_ref) != (before.epoch, before.conversation_ref):
        raise BrokenError(
            f"epoch {before.epoch} and conversation {before.conversation_ref!r}",
            f"{after.epoch} and {after.conversation_ref!r}",
        )


@rule("R5-resume-detached", "Cancelling is not Close: what the agent says meanwhile comes after a resume")
async def resume_detached(bench: Bench) -> None:
    peer = await bench.shared()
    peer.needs("resumable")
    async with peer.session() as first:
        text = words()
        message = await first.say(text)
        await first.settled(message.id)
        await first.cancel()
        async with peer.resumed(first, _resume(first, 0)) as second:
            _same_conversation(first, second)
            await second.answered(text)
            await second.exchange()
            events = tuple(second.events)
    _goes_on(events, 0)
    if sum(text in says(event) for event in events) != 1 or len(_settled(events, message.id)) != 1:
        raise BrokenError("the receipt and the answer once", _names(events))


@rule("R5-resume-unknown", "A resume of a session that the adapter does not know answers resumed=false")
async def resume_unknown(bench: Bench) -> None:
    peer = await bench.shared()
    peer.needs("resumable")
    async with peer.session() as known:
        epoch = known.events[0].opened.epoch
    opening = peer.new_open()
    opening.resume.CopyFrom(
        conversation_pb2.Resume(epoch=epoch, last_seq=7, settled_message_ids=[f"m-{uuid4()}"])
    )
    async with peer.session(opening) as session:
        if session.events[0].opened.resumed:
            raise BrokenError("resumed=false for an unknown session", "resumed=true")


@rule("R5-other-epoch", "A restarted adapter resumes only what it can tell the truth about")
async def other_epoch(bench: Bench) -> str:
    async with bench.fresh() as before:
        before.needs("resumable")
        async with before.session() as first:
            known = await first.exchange()
            last_seq = first.events[-1].seq
            # The one arrived, though the host never stored it; the other may be lost with the process.
            lost = [await first.exchange(), text_message(words())]
            await first.write(send(lost[1]))
            if before.process is not None:
                await before.process.kill()
            await first.ended()
    async with bench.fresh() as after, after.resumed(first, _resume(first, last_seq)) as second:
        opened = second.events[0].opened
        if opened.epoch == first.events[0].opened.epoch:
            raise BrokenError("another epoch in another process", repr(opened.epoch))
        if opened.resumed:
            for message in lost:
                await _settles_truly(after, second, message, known)
            await second.exchange()
            if _settled(second.events, known.id) or any(
                len(_settled(second.events, m.id)) != 1 for m in lost
            ):
                raise BrokenError("one receipt of each that was unsettled", _names(second.events))
        for message in (known, *lost):
            if (times := await after.received(_text(message), by=_text(lost[0])) or 0) > 1:
                raise BrokenError(f"the agent to receive {_text(message)} once", f"{times} times")
        return f"resumed={str(opened.resumed).lower()}"


async def _settles_truly(
    peer: Peer, session: Conversation, message: message_pb2.Message, known: message_pb2.Message
) -> None:
    """Waits for the receipt, and the answer, of a message that was unsettled when the adapter was killed."""
    receipt = await session.settled(message.id)
    if receipt.receipt.status == SENT:
        await session.answered(_text(message))
    elif await peer.received(_text(message), by=_text(known)):
        raise BrokenError("SENT of what the agent received", name(receipt))


def _text(message: message_pb2.Message) -> str:
    return message.parts[0].text.text
