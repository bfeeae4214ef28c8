"""One session: the connection to the agent, and the events that the host has not yet acknowledged."""

import asyncio
import itertools
import json
import time
from collections.abc import Callable

from mimic.adapter.v1 import conversation_pb2, message_pb2

from tests.support.adapters.broken.breaks import breaks

MOST_UNACKED = 10**9 if breaks("S4-limits") else 20
MOST_CHARS = 50_000
EPOCH = f"epoch-{time.time_ns()}"

_clock = itertools.count()


def now() -> message_pb2.WireTime:
    wall = time.time_ns() // 1_000_000 if breaks("R8-wire-times") else time.time_ns()
    monotonic = time.monotonic_ns()
    if breaks("R8-wire-times:backwards"):
        monotonic = 10**15 - next(_clock)
    return message_pb2.WireTime(wall_unix_nanos=wall, monotonic_nanos=monotonic)


def fault(source: message_pb2.FaultSource.ValueType, reason: str) -> message_pb2.Fault:
    return message_pb2.Fault(source=source, reason=reason, message=f"broken adapter: {reason}")


class Session:
    """Lives on when its stream breaks, until it is closed."""

    def __init__(self, opening: conversation_pb2.Open, address: str, secret: str) -> None:
        self.opening = opening
        self.everyone: Callable[[], list[Session]] = list
        self.secret = secret
        self.attached = False
        self.streams = 0
        self.half_closed = False
        self.closed = False
        self.disconnected = False
        self.events: list[conversation_pb2.Event] = []
        self.acked = 0
        self.changed = asyncio.Condition()
        self._address = address
        self._seq = itertools.count(opening.attempt if breaks("R3-seq") else 1)
        self._receipts: dict[str, conversation_pb2.Receipt] = {}
        self._held: message_pb2.Message | None = None
        self._turns = 0
        self._order = asyncio.Lock()
        self._outbox: asyncio.Queue[message_pb2.Message | None] = asyncio.Queue()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Connects to the agent, and tells what became of what the host is unsure of."""
        host, _, port = self._address.rpartition(":")
        self._reader, self._writer = await asyncio.open_connection(host, int(port), limit=64 * 1024 * 1024)
        resume = self.opening.resume
        session = f"{self.opening.session_id}/{self.opening.attempt}"
        await self._tell_agent({"session": session, "unsure": list(resume.unsettled_message_ids)})
        arrived = json.loads(await self._reader.readline())["arrived"]
        if not breaks("R5-other-epoch"):
            for message_id in resume.unsettled_message_ids:
                if message_id in arrived and not breaks("R5-other-epoch:lies"):
                    await self._settle(message_id, conversation_pb2.RECEIPT_STATUS_SENT)
                else:
                    await self._fail(message_id, fault(message_pb2.FAULT_SOURCE_CHANNEL, "NEVER_ARRIVED"))
        self._tasks = [asyncio.create_task(self._send_all()), asyncio.create_task(self._read_agent())]

    async def _tell_agent(self, entry: dict[str, object]) -> None:
        self._writer.write(json.dumps(entry).encode() + b"\n")
        await self._writer.drain()

    async def emit(self, **event: object) -> None:
        """Numbers an event, and waits while the host owes acks for too many."""
        made = conversation_pb2.Event(**event)  # type: ignore[arg-type]
        async with self.changed:
            if not breaks("R7-unacked-bound"):
                await self.changed.wait_for(lambda: len(self.events) - self._first < MOST_UNACKED)
            made.seq = next(self._seq)
            self.events.append(made)
            self.changed.notify_all()

    @property
    def _first(self) -> int:
        """How many of the events are acknowledged."""
        return sum(event.seq <= self.acked for event in self.events)

    async def ack(self, seq: int) -> None:
        async with self.changed:
            self.acked = max(self.acked, seq)
            self.changed.notify_all()

    def send(self, message: message_pb2.Message) -> None:
        self._outbox.put_nowait(message)

    def close(self) -> None:
        self._outbox.put_nowait(None)

    async def _send_all(self) -> None:
        count = 0
        while (message := await self._outbox.get()) is not None:
            count += 1
            if breaks("R3-order") and count == 5:
                self._held = message
                continue
            await self._send(message)
            if self._held is not None:
                held, self._held = self._held, None
                await self._send(held)
        await self._end(conversation_pb2.CLOSED_BY_HOST)

    async def _send(self, message: message_pb2.Message) -> None:
        if message.id in self._receipts and not breaks("R4-duplicate-send"):
            await self.emit(receipt=self._receipts[message.id])
            return
        text = "".join(part.text.text for part in message.parts)
        if any(part.WhichOneof("part") is None for part in message.parts) and breaks("R9-unknown-parts"):
            await self._fail(message.id, fault(message_pb2.FAULT_SOURCE_ADAPTER, "UNKNOWN_PART"))
        elif len(text.encode() if breaks("F1-too-long-text") else text) > MOST_CHARS:
            await self._fail(message.id, fault(message_pb2.FAULT_SOURCE_MIMIC, "TOO_LONG"))
        else:
            await self._hand_over(message.id, text)

    async def _hand_over(self, id: str, text: str) -> None:
        if breaks("R2-delivered-after-sent"):
            await self._receipt(id, conversation_pb2.RECEIPT_STATUS_DELIVERED)
        if breaks("R3-answer-after-sent"):
            await self._tell_agent({"id": id, "text": text})
            sent = now()
            await asyncio.sleep(0.05)
            await self._settle(id, conversation_pb2.RECEIPT_STATUS_SENT, sent)
            return
        async with self._order:
            try:
                await self._tell_agent({"id": id, "text": text})
            except OSError:
                await self._fail(id, self._gone())
                return
            await self._settle(id, conversation_pb2.RECEIPT_STATUS_SENT)

    def _gone(self) -> message_pb2.Fault:
        broken = breaks("F3-agent-gone")
        source = message_pb2.FAULT_SOURCE_ADAPTER if broken else message_pb2.FAULT_SOURCE_AGENT
        return fault(source, "AGENT_GONE")

    async def _settle(
        self,
        id: str,
        status: conversation_pb2.ReceiptStatus.ValueType,
        time: message_pb2.WireTime | None = None,
    ) -> None:
        self._receipts[id] = conversation_pb2.Receipt(message_id=id, status=status, time=time or now())
        await self.emit(receipt=self._receipts[id])

    async def _receipt(self, id: str, status: conversation_pb2.ReceiptStatus.ValueType) -> None:
        await self.emit(receipt=conversation_pb2.Receipt(message_id=id, status=status, time=now()))

    async def _fail(self, id: str, why: message_pb2.Fault) -> None:
        failed = conversation_pb2.RECEIPT_STATUS_FAILED
        self._receipts[id] = conversation_pb2.Receipt(message_id=id, status=failed, time=now(), fault=why)
        if breaks("F1-too-long-text:fault"):
            self._receipts[id].ClearField("fault")
        await self.emit(receipt=self._receipts[id])
        if breaks("R2-failed-is-final"):
            await self._receipt(id, conversation_pb2.RECEIPT_STATUS_DELIVERED)

    async def _read_agent(self) -> None:
        while line := await self._reader.readline():
            arrived = now()
            answer = json.loads(line)
            async with self._order:
                pass
            message_id = "same" if breaks("R3-message") else f"a-{time.monotonic_ns()}"
            part = message_pb2.Part(text=message_pb2.Text(text=answer["text"]))
            said = conversation_pb2.AgentMessage(
                message=message_pb2.Message(id=message_id, parts=[part], in_reply_to=answer["of"]),
                first_byte=arrived,
            )
            if self.opening.capture_raw or breaks("R3-raw"):
                await self._raw(line.decode())
            await self.emit(message=said)
            if breaks("R3-sessions-apart"):
                await self._tell_others(said)
            self._turns += 1
            if self._turns != 2 or not breaks("R3-turn-complete"):
                await self.emit(turn_complete=conversation_pb2.TurnComplete())
        await self._end(conversation_pb2.CLOSED_BY_AGENT, self._gone())

    async def _raw(self, payload: str) -> None:
        direction = conversation_pb2.RAW_DIRECTION_FROM_AGENT
        if breaks("O3-secrets-kept:raw"):
            payload += self.secret
        await self.emit(raw=conversation_pb2.Raw(direction=direction, payload=payload[:60_000], time=now()))

    async def _tell_others(self, said: conversation_pb2.AgentMessage) -> None:
        for session in self.everyone():
            if session is not self and not session.closed and len(session.events) < MOST_UNACKED // 2:
                stray = conversation_pb2.AgentMessage()
                stray.CopyFrom(said)
                stray.message.id += "-stray"
                stray.first_byte.CopyFrom(now())
                await session.emit(message=stray)

    async def _end(
        self, by: conversation_pb2.ClosedBy.ValueType, why: message_pb2.Fault | None = None
    ) -> None:
        if self.closed:
            return
        sent = [one for one in self._receipts.values() if one.status == conversation_pb2.RECEIPT_STATUS_SENT]
        if breaks("R2-settled-once") and sent:
            await self.emit(receipt=sent[0])
        by_host = by == conversation_pb2.CLOSED_BY_HOST
        half = breaks("R6-half-close") and self.half_closed
        if not (by_host and (half or (breaks("R6-close") and not self.half_closed))):
            await self.emit(closed=conversation_pb2.Closed(by=by, fault=why))
        async with self.changed:
            self.closed = True
            self.changed.notify_all()
        for task in self._tasks:
            if task is not asyncio.current_task():
                task.cancel()
        self._writer.close()
