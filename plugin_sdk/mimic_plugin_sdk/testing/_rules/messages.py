"""Rules 2, 3 and 8: receipts, order, and times of what is said."""

import time
from collections.abc import Sequence
from itertools import pairwise

from mimic.adapter.v1 import conversation_pb2, message_pb2

from mimic_plugin_sdk.testing._bench import Bench
from mimic_plugin_sdk.testing._conversation import (
    FAILED,
    SENT,
    Event,
    name,
    says,
    send,
    settles,
    text_message,
    words,
)
from mimic_plugin_sdk.testing._rule import BrokenError, rule

_SECOND_NANOS = 1_000_000_000
_MANY = 8


def receipts(events: Sequence[Event], message_id: str) -> list[Event]:
    """The receipts of a message, in order."""
    return [event for event in events if event.receipt.message_id == message_id]


async def _exchanges(bench: Bench, number: int) -> tuple[Sequence[message_pb2.Message], Sequence[Event]]:
    """The messages of some exchanges, and the events that they brought."""
    peer = await bench.shared()
    async with peer.session() as session:
        for _ in range(number):
            await session.exchange()
        return tuple(session.sent), tuple(session.events)


@rule("R2-settled-once", "Each Send gets exactly one SENT or FAILED")
async def settled_once(bench: Bench) -> None:
    peer = await bench.shared()
    async with peer.session() as session:
        for _ in range(3):
            await session.exchange()
        await session.close()
        await session.ended()
    known = {message.id for message in session.sent}
    for message_id in known:
        settled = [event for event in session.events if settles(event, message_id)]
        if len(settled) != 1:
            raise BrokenError(f"one SENT or FAILED of {message_id}", ", ".join(map(name, settled)) or "none")
    for event in session.events:
        if event.HasField("receipt") and (event.receipt.message_id not in known or not event.receipt.status):
            raise BrokenError("receipts of messages that were sent", name(event))


@rule("R2-delivered-after-sent", "DELIVERED and READ follow SENT")
async def delivered_after_sent(bench: Bench) -> None:
    sent, events = await _exchanges(bench, 3)
    for message in sent:
        came = receipts(events, message.id)
        if came and came[0].receipt.status not in (SENT, FAILED):
            raise BrokenError(f"SENT of {message.id} first", ", ".join(map(name, came)))


@rule("R3-seq", "Events are numbered 1, 2, 3 ... in each attempt")
async def seq(bench: Bench) -> None:
    peer = await bench.shared()
    opening = peer.new_open()
    for attempt in (1, 2):
        opening.attempt = attempt
        async with peer.session(opening) as session:
            await session.exchange()
            await session.exchange()
            await session.close()
            await session.ended()
        numbers = [event.seq for event in session.events if not event.HasField("opened")]
        if numbers != list(range(1, len(numbers) + 1)):
            raise BrokenError(f"1, 2, 3 ... in attempt {attempt}", ", ".join(map(str, numbers)))


@rule("R3-order", "Messages sent one after another, without waiting, are sent and answered in their order")
async def order(bench: Bench) -> None:
    peer = await bench.shared()
    async with peer.session() as session:
        texts = [words() for _ in range(_MANY)]
        messages = [await session.say(text) for text in texts]
        for message, text in zip(messages, texts, strict=True):
            await session.settled(message.id)
            await session.answered(text)
        sent = [event.receipt.message_id for event in session.events if event.receipt.status == SENT]
        if sent != [message.id for message in messages]:
            raise BrokenError("SENT in the order of the Sends", ", ".join(map(name, session.events)))
        told = "\n".join(says(event) for event in session.events)
        if [told.index(text) for text in texts] != sorted(told.index(text) for text in texts):
            raise BrokenError("answers in the agent's order", ", ".join(map(name, session.events)))


@rule("R3-frames", "Items of one frame are taken in their order, each for itself")
async def frames(bench: Bench) -> None:
    peer = await bench.shared()
    async with peer.session() as session:
        messages = [text_message(words()) for _ in range(3)]
        await session.write(*map(send, messages))
        for message in messages:
            await session.settled(message.id)
        for message in messages:
            await session.answered(message.parts[0].text.text)
        sent = [event.receipt.message_id for event in session.events if event.receipt.status == SENT]
        if sent != [message.id for message in messages]:
            raise BrokenError("each item of the frame SENT, in order", ", ".join(map(name, session.events)))


@rule("R3-answer-after-sent", "An answer never comes before the SENT of what caused it")
async def answer_after_sent(bench: Bench) -> None:
    sent, events = await _exchanges(bench, 3)
    for message in sent:
        text = message.parts[0].text.text
        for event in events:
            if event.receipt.message_id == message.id and event.receipt.status == SENT:
                break
            if text in says(event):
                raise BrokenError(f"SENT of {message.id} before its answer", ", ".join(map(name, events)))


@rule("R3-message", "The agent's messages have an id of their own, and say something")
async def message(bench: Bench) -> None:
    _, events = await _exchanges(bench, 3)
    ids = set()
    for event in events:
        if not event.HasField("message"):
            continue
        said = event.message.message
        if not said.id or len(said.id.encode()) > 128 or said.id in ids:
            raise BrokenError("an id of 1 to 128 bytes, unique in the session", repr(said.id))
        if not said.parts and not said.deleted:
            raise BrokenError("at least one part", f"none in {said.id!r}")
        ids.add(said.id)


@rule("R3-sessions-apart", "Two sessions at once are not mixed up")
async def sessions_apart(bench: Bench) -> None:
    peer = await bench.shared()
    async with peer.two_sessions() as pair:
        texts: list[list[str]] = [[], []]
        for _ in range(3):
            for session, own in zip(pair, texts, strict=True):
                own.append(words())
                await session.say(own[-1])
        for session, own, others in zip(pair, texts, reversed(texts), strict=True):
            for text in own:
                await session.answered(text)
            strays = [name(event) for event in session.events for text in others if text in says(event)]
            ids = {message.id for message in session.sent}
            strays += [
                name(event)
                for event in session.events
                if event.HasField("receipt") and event.receipt.message_id not in ids
            ]
            if strays:
                raise BrokenError("only events of the own session", ", ".join(strays))


@rule("R3-turn-complete", "TurnComplete follows each turn of the agent, where it is declared")
async def turn_complete(bench: Bench) -> None:
    peer = await bench.shared()
    peer.needs("turn_complete")
    async with peer.session() as session:
        for turn in (1, 2):
            await session.exchange()
            await session.until(
                lambda _, turn=turn: _turns(session.events) >= turn,  # type: ignore[misc]
                f"TurnComplete after answer {turn}",
            )
            if _turns(session.events) > turn:
                raise BrokenError(f"{turn} TurnComplete", ", ".join(map(name, session.events)))


def _turns(events: Sequence[Event]) -> int:
    return sum(event.HasField("turn_complete") for event in events)


@rule("R3-typing-and-read", "The persona's typing and reading are taken, where they are declared")
async def typing_and_read(bench: Bench) -> None:
    peer = await bench.shared()
    if not peer.can.read_receipts:
        peer.needs("typing")
    async with peer.session() as session:
        if peer.can.typing:
            await session.write(conversation_pb2.HostItem(typing=conversation_pb2.PersonaTyping()))
        await session.exchange()
        if peer.can.read_receipts:
            newest = [event.message.message.id for event in session.events if event.HasField("message")][-1]
            await session.write(conversation_pb2.HostItem(read=conversation_pb2.Read(message_id=newest)))
        await session.exchange()


@rule("R3-raw", "Raw events come only when asked for, with a direction, cut at 64 KiB")
async def raw(bench: Bench) -> str:
    peer = await bench.shared()
    found = 0
    for asked in (False, True):
        opening = peer.new_open()
        opening.capture_raw = asked
        async with peer.session(opening) as session:
            await session.exchange()
        for event in session.events:
            if not event.HasField("raw"):
                continue
            if not asked:
                raise BrokenError("no Raw without capture_raw", ", ".join(map(name, session.events)))
            found += 1
            if not event.raw.direction:
                raise BrokenError("a direction", "RAW_DIRECTION_UNSPECIFIED")
            if len(event.raw.payload.encode()) > 64 * 1024:
                raise BrokenError("at most 64 KiB of payload", f"{len(event.raw.payload.encode())} bytes")
    return f"{found} when asked for"


@rule("R8-wire-times", "Wire times are set and plausible, the monotonic ones in order")
async def wire_times(bench: Bench) -> None:
    # An adapter that runs elsewhere has another wall clock.
    slack = (2 if bench.subject.command else 300) * _SECOND_NANOS
    begun = time.time_ns() - slack
    messages, events = await _exchanges(bench, 4)
    _plausible(events, begun, time.time_ns() + slack)
    sent = [event for event in events if event.receipt.status == SENT]
    said = [event for event in events if event.HasField("message")]
    for alike in (sent, said):
        for earlier, later in pairwise(alike):
            _in_order(name(later), _stamps(earlier)[0], _stamps(later)[0])
    texts = {message.id: message.parts[0].text.text for message in messages}
    for event in said:
        if event.message.HasField("last_byte"):
            _in_order(f"last byte of {name(event)}", event.message.first_byte, event.message.last_byte)
        for one in sent:
            if texts.get(one.receipt.message_id, "?") in says(event):
                _in_order(f"first byte of {name(event)}", one.receipt.time, event.message.first_byte)


def _plausible(events: Sequence[Event], begun: int, ended: int) -> None:
    for event in events:
        for stamp in _stamps(event):
            if stamp.wall_unix_nanos <= 0 or stamp.monotonic_nanos <= 0:
                raise BrokenError(f"wall and monotonic time of {name(event)}", _shown(stamp))
            if not begun <= stamp.wall_unix_nanos <= ended:
                raise BrokenError(f"a wall time within the session for {name(event)}", _shown(stamp))


def _stamps(event: Event) -> list[message_pb2.WireTime]:
    match event.WhichOneof("event"):
        case "receipt":
            return [event.receipt.time]
        case "message" if event.message.HasField("last_byte"):
            return [event.message.first_byte, event.message.last_byte]
        case "message":
            return [event.message.first_byte]
        case "raw":
            return [event.raw.time]
    return []


def _in_order(what: str, earlier: message_pb2.WireTime, later: message_pb2.WireTime) -> None:
    if earlier.clock_id == later.clock_id and later.monotonic_nanos < earlier.monotonic_nanos:
        raise BrokenError(
            f"{what} at or after {earlier.monotonic_nanos} ns of the monotonic clock",
            f"{later.monotonic_nanos} ns",
        )


def _shown(stamp: message_pb2.WireTime) -> str:
    return f"wall {stamp.wall_unix_nanos} ns, monotonic {stamp.monotonic_nanos} ns"
