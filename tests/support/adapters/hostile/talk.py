"""One conversation: an echo, until the persona's name (at its opening) or words ask for something else."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
from mimic.adapter.v1 import conversation_pb2 as pb
from mimic.adapter.v1 import message_pb2

from tests.support.adapters.hostile.status import abort

if TYPE_CHECKING:
    from tests.support.adapters.hostile.service import Adapter


def now() -> message_pb2.WireTime:
    return message_pb2.WireTime(wall_unix_nanos=time.time_ns(), monotonic_nanos=time.monotonic_ns())


def text(value: str) -> message_pb2.Part:
    return message_pb2.Part(text=message_pb2.Text(text=value))


def frame(*events: pb.Event) -> bytes:
    return pb.ConverseResponse(events=events).SerializeToString()


class OverError(Exception):
    """The call is to end with OK."""


class Talk:
    """A conversation."""

    def __init__(self, adapter: Adapter, context: Any, asked: pb.Open) -> None:
        self.adapter = adapter
        self.context = context
        self.asked = asked
        self.seq = 0
        self.messages = 0
        self.kept: list[pb.Event] = []
        self.acked = 0
        self.resumed = False

    def resume_from(self, before: Talk) -> None:
        """Goes on with what another stream of the same session said."""
        self.resumed = True
        self.seq, self.messages, self.kept = before.seq, before.messages, before.kept

    # -- Events --------------------------------------------------------------------------------------------

    def event(self, **kind: Any) -> pb.Event:
        self.seq += 1
        event = pb.Event(seq=self.seq, **kind)
        self.kept.append(event)
        return event

    def opened(self, **changes: Any) -> pb.Event:
        values: dict[str, Any] = {"epoch": self.adapter.epoch, "resumed": self.resumed}
        return pb.Event(opened=pb.Opened(conversation_ref="hostile", **(values | changes)))

    def receipt(self, message_id: str, status: str = "SENT", **more: Any) -> pb.Event:
        number = pb.ReceiptStatus.Value(f"RECEIPT_STATUS_{status}")
        return self.event(receipt=pb.Receipt(message_id=message_id, status=number, time=now(), **more))

    def message(self, value: str, **changes: Any) -> pb.Event:
        self.messages += 1
        values: dict[str, Any] = {"id": f"m{self.messages}", "parts": [text(value)]} | changes
        return self.event(message=pb.AgentMessage(message=message_pb2.Message(**values), first_byte=now()))

    def complete(self) -> pb.Event:
        return self.event(turn_complete=pb.TurnComplete())

    def closed(self, by: str = "AGENT") -> pb.Event:
        return self.event(closed=pb.Closed(by=pb.ClosedBy.Value(f"CLOSED_BY_{by}")))

    async def say(self, *events: pb.Event) -> None:
        await self.context.write(frame(*events))

    # -- The conversation ----------------------------------------------------------------------------------

    async def run(self) -> None:
        with contextlib.suppress(OverError):
            await self._run()

    async def _run(self) -> None:
        if await self.misopen(self.asked.persona.display_name):
            return
        again = [event for event in self.kept if event.seq > self.asked.resume.last_seq]
        if self.asked.persona.display_name == "repeats-too-much":
            again = self.kept
        await self.say(self.opened(), *(again if self.resumed else ()))
        while (data := await self.context.read()) is not grpc.aio.EOF:
            told = pb.ConverseRequest.FromString(data)
            self.acked = max(self.acked, told.ack)
            for item in told.items:
                kind = item.WhichOneof("item")
                if kind == "send":
                    await self.take(item.send)
                elif kind == "typing":
                    await self.say(self.message("I see you type"))
                elif kind == "close":
                    if self.asked.persona.display_name == "never-closes":
                        await asyncio.Event().wait()
                    await self.say(self.closed("HOST"))
                    return

    async def misopen(self, name: str) -> bool:
        """Opens as the persona's name asks. Returns False if it asks for nothing."""
        match name:
            case "hang":
                await asyncio.Event().wait()
            case "crash":
                os._exit(8)
            case "ends-at-once":
                return True
            case "message-first":
                await self.say(self.message("hello"))
            case "no-epoch":
                await self.say(self.opened(epoch=""))
            case "resumed-unasked":
                await self.say(self.opened(resumed=True))
            case "garbage-first":
                await self.context.write(b"\xff\xff\xff\xff")
            case "empty-first":
                await self.context.write(b"")
            case "refuses":
                await self.context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "no")
            case _:
                return False
        return True

    async def take(self, send: pb.Send) -> None:
        """Answers a message: with its own text, or as it asks."""
        said = send.message.parts[0].text.text if send.message.parts else ""
        method = getattr(self, "do_" + said.replace("-", "_"), None)
        if method is not None:
            await method(send.message.id)
        elif send.more:
            await self.say(self.receipt(send.message.id))
        else:
            sent = self.receipt(send.message.id)
            await self.say(sent, self.message(said, in_reply_to=send.message.id), self.complete())

    # -- What a message may ask for: broken rules ----------------------------------------------------------

    async def do_unknown_receipt(self, message_id: str) -> None:
        await self.say(self.receipt("nobody sent this"))

    async def do_sent_twice(self, message_id: str) -> None:
        await self.say(self.receipt(message_id), self.receipt(message_id))

    async def do_sent_after_failed(self, message_id: str) -> None:
        await self.say(self.receipt(message_id, "FAILED"), self.receipt(message_id))

    async def do_delivered_after_failed(self, message_id: str) -> None:
        await self.say(self.receipt(message_id, "FAILED"), self.receipt(message_id, "DELIVERED"))

    async def do_delivered_first(self, message_id: str) -> None:
        await self.say(self.receipt(message_id, "DELIVERED"))

    async def do_odd_receipt(self, message_id: str) -> None:
        await self.say(self.event(receipt=pb.Receipt(message_id=message_id, status=77, time=now())))  # type: ignore[arg-type]

    async def do_receipt_without_time(self, message_id: str) -> None:
        await self.say(self.event(receipt=pb.Receipt(message_id=message_id, status=pb.RECEIPT_STATUS_SENT)))

    async def do_answer_before_sent(self, message_id: str) -> None:
        await self.say(self.message("too early", in_reply_to=message_id))

    async def do_seq_gap(self, message_id: str) -> None:
        self.seq += 3
        await self.say(self.receipt(message_id))

    async def do_seq_repeats(self, message_id: str) -> None:
        await self.say(self.receipt(message_id))
        self.seq -= 1
        await self.say(self.message("again"))

    async def do_seq_goes_back(self, message_id: str) -> None:
        await self.say(self.receipt(message_id), self.message("one"), self.message("two"))
        self.seq = 0
        await self.say(self.message("three"))

    async def do_seq_zero(self, message_id: str) -> None:
        self.seq = -1
        await self.say(self.receipt(message_id))

    async def do_opened_twice(self, message_id: str) -> None:
        await self.say(self.opened())

    async def do_garbage(self, message_id: str) -> None:
        await self.context.write(b"\xff\xfe\xfd not protobuf")

    async def do_bad_utf8(self, message_id: str) -> None:
        await self.context.write(frame(self.message("Zz")).replace(b"Zz", b"\xff\xff"))

    async def do_empty_frame(self, message_id: str) -> None:
        await self.context.write(b"")

    async def do_event_after_closed(self, message_id: str) -> None:
        await self.say(self.receipt(message_id), self.closed(), self.message("one more thing"))

    async def do_ends_without_closed(self, message_id: str) -> None:
        raise OverError

    async def do_same_id_twice(self, message_id: str) -> None:
        await self.say(self.receipt(message_id), self.message("a", id="same"), self.message("b", id="same"))

    async def do_no_id(self, message_id: str) -> None:
        await self.say(self.receipt(message_id), self.message("a", id=""))

    async def do_long_id(self, message_id: str) -> None:
        await self.say(self.receipt(message_id), self.message("a", id="é" * 65))

    async def do_no_parts(self, message_id: str) -> None:
        await self.say(self.receipt(message_id), self.message("a", parts=[]))

    async def do_deletes_nothing(self, message_id: str) -> None:
        await self.say(self.receipt(message_id), self.message("a", parts=[], deleted=True))

    async def do_no_time(self, message_id: str) -> None:
        event = self.message("a")
        event.message.ClearField("first_byte")
        await self.say(event)

    async def do_huge_inline_file(self, message_id: str) -> None:
        media = message_pb2.Media(data=b"x" * (1024 * 1024 + 1))
        await self.say(self.message("a", parts=[message_pb2.Part(media=media)]))

    # -- What a message may ask for: other trouble ---------------------------------------------------------

    async def do_too_large(self, message_id: str) -> None:
        await self.say(self.message("x" * (3 * 1024 * 1024)))

    async def do_flood(self, message_id: str) -> None:
        await self.say(self.receipt(message_id))
        while True:
            await self.say(*(self.event(typing=pb.AgentTyping()) for _ in range(10)))
            self.kept.clear()

    async def do_flood_of_unknown(self, message_id: str) -> None:
        await self.say(self.receipt(message_id))
        while True:
            await self.say(self.event())
            self.kept.clear()

    async def do_large_flood(self, message_id: str) -> None:
        await self.say(self.receipt(message_id))
        while True:
            await self.say(self.message("x" * 500_000))
            self.kept.clear()

    async def do_crash(self, message_id: str) -> None:
        await self.say(self.receipt(message_id), self.message("goodbye"))
        os.write(2, b"[ERROR] segmentation fault, as it were\n")
        os._exit(11)

    async def do_block(self, message_id: str) -> None:
        await self.say(self.receipt(message_id))
        while True:
            time.sleep(60)  # noqa: ASYNC251 - the very thing that it is to do

    async def do_eat_memory(self, message_id: str) -> None:
        hoard = []
        while True:
            hoard.append(bytearray(64 * 1024 * 1024))

    async def do_fault(self, message_id: str) -> None:
        await self.say(self.receipt(message_id))
        code = grpc.StatusCode.UNAVAILABLE
        await abort(self.context, code, "the agent hung up", reason="AGENT_GONE", fault_source="AGENT")

    async def do_unavailable(self, message_id: str) -> None:
        await self.context.abort(grpc.StatusCode.UNAVAILABLE, "come back later")

    async def do_internal(self, message_id: str) -> None:
        await self.context.abort(grpc.StatusCode.INTERNAL, "oops")

    # -- What a message may ask for: lawful, but seldom ----------------------------------------------------

    async def do_all_receipts(self, message_id: str) -> None:
        statuses = ("SENT", "DELIVERED", "DELIVERED", "READ")
        await self.say(*(self.receipt(message_id, s) for s in statuses), self.complete())

    async def do_fail(self, message_id: str) -> None:
        fault = message_pb2.Fault(reason="NOPE", message="the platform would not", source=4)  # type: ignore[arg-type]
        await self.say(self.receipt(message_id, "FAILED", fault=fault), self.complete())

    async def do_unknown_event(self, message_id: str) -> None:
        await self.say(self.receipt(message_id), self.event(), self.complete())

    async def do_only_unknown_events(self, message_id: str) -> None:
        await self.say(self.receipt(message_id))
        for _ in range(12):
            await self.say(self.event())

    async def do_acked(self, message_id: str) -> None:
        await self.say(self.receipt(message_id), self.message(str(self.acked)), self.complete())

    async def do_raw(self, message_id: str) -> None:
        raw = pb.Raw(direction=pb.RAW_DIRECTION_TO_AGENT, payload="x" * 70_000, time=now(), label="POST /")
        await self.say(self.receipt(message_id), self.event(raw=raw), self.complete())

    async def do_bye(self, message_id: str) -> None:
        await self.say(self.receipt(message_id), self.message("bye"), self.closed())
        raise OverError

    async def do_log_out(self, message_id: str) -> None:
        await self.adapter.tell_changes()
        await self.say(self.receipt(message_id), self.complete())

    async def do_forget_connections(self, message_id: str) -> None:
        self.adapter.forget_connections()
        await self.say(self.receipt(message_id), self.complete())
