"""One session's conversation over an adapter: the host's side of a Converse stream."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from typing import Final

import grpc.aio
from google.protobuf.message import DecodeError
from mimic.adapter.v1 import conversation_pb2 as pb

from mimic_server.domain.adapters import (
    AdapterEvent,
    Capabilities,
    CloseReason,
    Open,
    Opened,
    OutgoingMessage,
    ReceiptEvent,
)
from mimic_server.domain.errors import FaultError
from mimic_server.domain.faults import Fault, FaultSource
from mimic_server.domain.messages import ReceiptStatus, Speech, Text, WireTime
from mimic_server.domain.ports import ConversationLost
from mimic_server.host.convert import CLOSE_REASONS, write_open
from mimic_server.host.ledger import BrokenRuleError, Ledger
from mimic_server.host.link import Link, sender
from mimic_server.host.log_book import LogBook
from mimic_server.host.pace import Pace
from mimic_server.host.refusals import Refusal, Refused, refusal_of
from mimic_server.host.settings import Limits
from mimic_server.wire.parts import write_parts

_PARSE = pb.ConverseResponse.FromString
_EVENTS_PER_SEND: Final = 16
"""Events that each message of the persona entitles the adapter to, besides what comes by itself."""
_CAUSE_SECONDS: Final = 0.2
"""How long a broken stream waits to hear that its adapter died, which explains more."""
_HOST_CLOCK: Final = "host"


class HostConversation:
    """Implements `Conversation`. Belongs to one event loop; one task at a time waits for its events.

    A task reads, and another writes: cancelling a read or write of grpc.aio cancels the call, so nobody who
    may be cancelled calls them. While `events` is not called, the reader stops at a bound, and HTTP/2's flow
    control stops the adapter.

    Args:
        link: The adapter.
        capabilities: What it can do.
        request: What to open.
        book: The adapter's log, which is told when it breaks the contract.
        limits: How long to wait, and how much to hold.
    """

    opened: Opened

    def __init__(
        self, link: Link, capabilities: Capabilities, request: Open, book: LogBook, limits: Limits
    ) -> None:
        self._link = link
        self._capabilities = capabilities
        self._request = request
        self._book = book
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._ledger = Ledger(request, book.channel, book.redact)
        self._ended: Exception | None = None
        self._over = asyncio.Event()
        self._closing = False
        # Reading.
        self._buffer: list[AdapterEvent] = []
        self._bytes = 0
        self._reader: asyncio.Task[None] | None = None
        self._waiting: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None
        self._pace = Pace(limits.events_per_second, limits.events_per_second)
        # Writing.
        self._frame = pb.ConverseRequest()
        self._due = False
        self._writer: asyncio.Task[None] | None = None
        self._idle: asyncio.Future[None] | None = None
        self._acked = self._told = self._newest_heard = 0
        self._ack_timer: asyncio.TimerHandle | None = None
        self._ack_soon = max(capabilities.max_unacked_events // 2, 1)
        self._call = link.converse(self, self._lose)
        self._send = sender(self._call)

    async def open(self) -> None:
        """Opens the conversation. On any error, nothing of it is left.

        Raises:
            Refused: The adapter answered with a status.
            ConversationLost: The adapter was lost.
            FaultError: It broke the contract, or did not answer in time.
        """
        try:
            async with asyncio.timeout(self._limits.open_seconds):
                frame = await self._first_frame()
            self.opened = self._ledger.open(frame.events[0])
            self._told = self._acked = self._newest_heard = self._ledger.last_seq
            if len(frame.events) > 1:
                self._take(frame.events[1:])
        except TimeoutError:
            text = f"it did not answer Open within {self._limits.open_seconds:g} s"
            self._cut(FaultError(self._fault("ADAPTER_TIMEOUT", text)))
        except BrokenRuleError as error:
            self._cut(self._violation(error))
        except BaseException:
            self._cut(ConversationLost("it was not opened"))
            raise
        if self._ended is not None:
            raise self._ended
        self._reader = self._loop.create_task(self._read_on())
        self._writer = self._loop.create_task(self._write_on())

    async def _first_frame(self) -> pb.ConverseResponse:
        write_open(self._request, self._frame.items.add().open)
        data, self._frame = self._frame.SerializeToString(), pb.ConverseRequest()
        try:
            await self._call.wait_for_connection()
            with contextlib.suppress(grpc.aio.InternalError):  # the call is over; reading tells how
                await self._send(data)
            answer = await self._call.read()
        except asyncio.CancelledError:
            # The adapter was lost, and the call with it; or whoever opens is cancelled.
            if self._ended is None:
                raise
            raise self._ended from None
        except grpc.aio.AioRpcError as error:
            refusal = refusal_of(error)
            if refusal.is_loss:
                raise ConversationLost(await self._cause(refusal)) from None
            raise Refused(refusal) from None
        if not isinstance(answer, bytes):
            raise BrokenRuleError("the stream ended before Opened (rule 1)")
        frame = _parse(answer)
        if not frame.events:
            raise BrokenRuleError("a frame has no events")
        return frame

    # -- What the session says -----------------------------------------------------------------------------

    def send(self, messages: Sequence[OutgoingMessage]) -> None:
        """Hands messages to the adapter.

        A text longer than the manifest allows is not sent: a FAILED receipt of the host's own tells it (fault
        MIMIC, TEXT_TOO_LONG). Its seq is that of the newest event, at least 1, so that seqs never go back.
        """
        if self._closing or self._ended is not None:
            return
        going = []
        for message in messages:
            if self._is_too_long(message):
                self._refuse(message)
            elif self._ledger.sending(message.id):
                going.append(message)
        for message in going:
            item = self._frame.items.add().send
            proto = item.message
            proto.id = message.id
            if message.in_reply_to:
                proto.in_reply_to = message.in_reply_to
            write_parts(message.parts, proto.parts)
            # Where the turn's last message is refused, the one before it is the last.
            if (messages[-1] if message is going[-1] else message).more:
                item.more = True
        if going:
            self._pace.grant(_EVENTS_PER_SEND * len(going))
            self._write_soon()

    def typing(self) -> None:
        if self._capabilities.typing and not self._closing:
            self._frame.items.add().typing.SetInParent()
            self._write_soon()

    def read(self, message_id: str) -> None:
        if self._capabilities.read_receipts and not self._closing:
            self._frame.items.add().read.message_id = message_id
            self._write_soon()

    def ack(self, seq: int) -> None:
        if seq >= self._newest_heard:
            # Events that nobody had to hear of may follow.
            seq = self._ledger.last_seq
        if seq <= self._acked:
            return
        self._acked = seq
        if seq - self._told >= self._ack_soon:
            self._write_soon()
        elif self._ack_timer is None:
            self._ack_timer = self._loop.call_later(self._limits.ack_seconds, self._ack_late)

    def _ack_late(self) -> None:
        self._ack_timer = None
        if self._acked > self._told:
            self._write_soon()

    def _is_too_long(self, message: OutgoingMessage) -> bool:
        most = self._capabilities.max_text_chars
        if not most:
            return False
        return sum(len(part.text) for part in message.parts if isinstance(part, Text | Speech)) > most

    def _refuse(self, message: OutgoingMessage) -> None:
        most = self._capabilities.max_text_chars
        fault = Fault(
            FaultSource.MIMIC,
            "TEXT_TOO_LONG",
            f"the message is longer than the {most} characters that the {self._book.channel} channel takes",
            "let the persona write shorter messages",
        )
        now = WireTime(time.time_ns(), time.monotonic_ns(), _HOST_CLOCK)
        seq = max(self._ledger.last_seq, 1)
        self._buffer.append(ReceiptEvent(seq, message.id, ReceiptStatus.FAILED, now, fault))
        self._wake_reader()

    def _write_soon(self) -> None:
        self._due = True
        if self._idle is not None and not self._idle.done():
            self._idle.set_result(None)

    async def _write_on(self) -> None:
        """Writes what was said since the last time, in one frame; ends with the call."""
        send = self._send
        with contextlib.suppress(grpc.aio.InternalError):  # the call is over; the reader tells how
            while True:
                if not self._due:
                    self._idle = self._loop.create_future()
                    await self._idle
                self._due = False
                frame, self._frame = self._frame, pb.ConverseRequest()
                if self._acked > self._told:
                    frame.ack = self._told = self._acked
                await send(frame.SerializeToString())
                if self._closing and not self._due:
                    await self._call.done_writing()
                    return

    async def close(self, reason: CloseReason) -> None:
        if self._closing:
            return
        self._closing = True
        if self._ended is not None:
            return
        self._frame.items.add().close.reason = CLOSE_REASONS[reason]
        self._write_soon()
        self._make_room()
        try:
            async with asyncio.timeout(self._limits.close_seconds):
                await self._over.wait()
        except TimeoutError:
            text = f"does not end a conversation within {self._limits.close_seconds:g} s of Close"
            self._book.note("warn", text, str(self._request.session_id))
        finally:
            self._cut(ConversationLost("it was closed"))

    def abandon(self) -> None:
        self._closing = True
        self._cut(ConversationLost("it was abandoned"))

    # -- What the adapter says -----------------------------------------------------------------------------

    async def events(self) -> Sequence[AdapterEvent]:
        while not self._buffer:
            if self._ended is not None:
                raise self._ended.with_traceback(None)
            self._waiting = self._loop.create_future()
            try:
                await self._waiting
            finally:
                self._waiting = None
        events, self._buffer = self._buffer, []
        self._bytes = 0
        if self._room is not None:
            self._make_room()
        return events

    async def _read_on(self) -> None:
        """Reads until the stream ends, and says how it ended."""
        read, spend, limits = self._call.read, self._pace.spend, self._limits
        try:
            while isinstance(data := await read(), bytes):
                frame = _parse(data)
                self._bytes += len(data)
                self._take(frame.events)
                if wait := spend(len(frame.events)):
                    await asyncio.sleep(wait)
                while len(self._buffer) >= limits.buffered_events or self._bytes >= limits.buffered_bytes:
                    if self._closing:
                        break
                    self._room = self._loop.create_future()
                    await self._room
            self._stream_ended()
        except BrokenRuleError as error:
            self._cut(self._violation(error))
        except grpc.aio.AioRpcError as error:
            refusal = refusal_of(error)
            if refusal.is_loss:
                self._finish(ConversationLost(await self._cause(refusal)))
            else:
                self._finish(FaultError(refusal.fault()))
        except asyncio.CancelledError:
            # A call that was cut reads as cancelled too.
            if self._ended is None:
                self._cut(ConversationLost("the host ends"))
                raise

    def _take(self, events: Sequence[pb.Event]) -> None:
        before = len(self._buffer)
        try:
            self._ledger.take(events, self._buffer)
        finally:
            if len(self._buffer) > before:
                self._newest_heard = self._buffer[-1].seq
                self._wake_reader()
            elif self._acked >= self._newest_heard:
                self.ack(self._newest_heard)

    def _wake_reader(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def _make_room(self) -> None:
        if self._room is not None and not self._room.done():
            self._room.set_result(None)

    # -- The end -------------------------------------------------------------------------------------------

    def _stream_ended(self) -> None:
        over = ConversationLost("the conversation is over")
        if self._ledger.closed or self._closing or self._is_not_resumed():
            self._finish(over)
        else:
            self._finish(self._violation(BrokenRuleError("the stream ended without Closed (rule 6)")))

    def _is_not_resumed(self) -> bool:
        return self._request.resume is not None and not self.opened.resumed

    def _lose(self, reason: str) -> None:
        self._cut(ConversationLost(reason))

    def _cut(self, ended: Exception) -> None:
        """Ends the conversation and its call. Does nothing once it has ended."""
        if self._ended is None:
            self._finish(ended)
            self._call.cancel()

    def _finish(self, ended: Exception) -> None:
        if self._ended is not None:
            return
        self._ended = ended
        self._link.release(self)
        if self._writer is not None:
            self._writer.cancel()
        if self._ack_timer is not None:
            self._ack_timer.cancel()
        self._over.set()
        self._wake_reader()
        self._make_room()

    async def _cause(self, refusal: Refusal) -> str:
        """Why the stream broke. The adapter's death, if it was that, explains more than the status."""
        await asyncio.wait([self._link.lost], timeout=_CAUSE_SECONDS)
        lost = self._link.lost
        return lost.result() if lost.done() else f"the stream broke: {refusal.message}"

    def _violation(self, error: BrokenRuleError) -> FaultError:
        self._book.note("error", f"broke the contract: {error}", str(self._request.session_id))
        return FaultError(self._fault("CONTRACT_VIOLATION", f"it broke the contract: {error}"))

    def _fault(self, reason: str, text: str) -> Fault:
        remedy = "this is a defect of the adapter: tell its author, with the lines of its log"
        return Fault(FaultSource.ADAPTER, reason, f"the {self._book.channel} adapter failed: {text}", remedy)


def _parse(data: bytes) -> pb.ConverseResponse:
    try:
        return _PARSE(data)
    except DecodeError:
        raise BrokenRuleError("a frame is not a ConverseResponse") from None
