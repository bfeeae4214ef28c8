"""The outbox under every order of adding, taking, acknowledging and resuming."""

import asyncio
from collections.abc import Awaitable

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from mimic.adapter.v1.conversation_pb2 import ConverseResponse
from mimic_plugin_sdk._convert_event import opened_frame, turn_complete_event
from mimic_plugin_sdk._outbox import Outbox


class OutboxMachine(RuleBasedStateMachine):
    """A host beside the outbox: what it has stored, and what the stream of the moment brought."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.stored = 0
        self.seen = 0
        self.opened = False

    @initialize(limit=st.integers(1, 5))
    def begin(self, limit: int) -> None:
        async def make() -> Outbox:
            return Outbox(limit)

        self.limit = limit
        self.outbox = self.loop.run_until_complete(make())
        self.outbox.open_with(opened_frame("e", "", resumed=False))

    @rule(count=st.integers(1, 4))
    def add(self, count: int) -> None:
        for _ in range(count):
            self.outbox.add(turn_complete_event(self.outbox.last_seq + 1))

    @rule()
    def take(self) -> None:
        for event in ConverseResponse.FromString(self.outbox.take()).events:
            if event.HasField("opened"):
                assert not self.opened
                self.opened = True
            else:
                assert self.opened
                assert event.seq == self.seen + 1
                self.seen = event.seq

    @rule(back=st.integers(0, 3))
    def ack(self, back: int) -> None:
        self.stored = max(self.stored, self.seen - back)
        self.outbox.ack(self.stored)

    @rule(back=st.integers(0, 3))
    def resume(self, back: int) -> None:
        last_seq = max(self.stored, self.seen - back)
        assert self.outbox.rewind(last_seq)
        assert not self.outbox.take()
        self.outbox.open_with(opened_frame("e", "", resumed=True))
        self.stored = self.seen = last_seq
        self.opened = False

    @rule(beyond=st.integers(1, 3))
    def nonsense(self, beyond: int) -> None:
        self.outbox.ack(self.seen + beyond)
        assert not self.outbox.rewind(self.seen + beyond)
        if self.stored:
            assert not self.outbox.rewind(self.stored - 1)

    @invariant()
    def within_the_limit(self) -> None:
        if hasattr(self, "outbox"):
            assert self.seen - self.stored <= self.limit
            assert self.outbox.acked == self.stored
            assert self.outbox.full == (self.outbox.last_seq - self.stored >= self.limit)

    def teardown(self) -> None:
        self.loop.close()
        if hasattr(self, "outbox"):
            self.outbox.end()
            self.take()
            assert self.seen == self.outbox.last_seq


TestOutbox = OutboxMachine.TestCase
TestOutbox.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


async def test_waiting_for_room_ends_with_an_ack_or_the_end() -> None:
    outbox = Outbox(1)
    outbox.open_with(b"")
    outbox.add(turn_complete_event(1))
    outbox.take()
    waiting = [asyncio.ensure_future(outbox.room()) for _ in range(2)]
    await asyncio.sleep(0)
    assert not any(one.done() for one in waiting)
    outbox.ack(1)
    await asyncio.gather(*waiting)
    outbox.add(turn_complete_event(2))
    last: Awaitable[None] = asyncio.ensure_future(outbox.room())
    await asyncio.sleep(0)
    outbox.end()
    await last


async def test_a_frame_does_not_grow_without_bound() -> None:
    outbox = Outbox(1000)
    outbox.open_with(b"")
    piece = turn_complete_event(1) + bytes(400_000)
    for _ in range(7):
        outbox.add(piece)
    sizes = []
    while frame := outbox.take():
        sizes.append(len(frame) // len(piece))
    assert sizes == [2, 2, 2, 1]
