"""One Converse call as the host makes it, with everything it brought kept for the rules to judge."""

import asyncio
import contextlib
import secrets
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Self, TypeVar

import grpc
import grpc.aio
from mimic.adapter.v1 import conversation_pb2, message_pb2

from mimic_plugin_sdk.testing._rule import BrokenError
from mimic_plugin_sdk.testing._wire import CALL_LIMIT, Client, Status

Event = conversation_pb2.Event
HostItem = conversation_pb2.HostItem

SENT = conversation_pb2.RECEIPT_STATUS_SENT
FAILED = conversation_pb2.RECEIPT_STATUS_FAILED
CLOSE_LIMIT = timedelta(seconds=5)
"""How long an adapter may take from Close to the end of the call."""
_POLITE_LIMIT = timedelta(seconds=2)

T = TypeVar("T")


def words() -> str:
    """Makes a text that occurs nowhere else, and that no channel's markup changes."""
    return f"mimic{secrets.token_hex(6)}"


def text_message(text: str) -> message_pb2.Message:
    """Makes a message of the persona."""
    part = message_pb2.Part(text=message_pb2.Text(text=text))
    return message_pb2.Message(id=f"m-{secrets.token_hex(8)}", parts=[part])


def send(message: message_pb2.Message) -> HostItem:
    """Makes the item that sends a message."""
    return HostItem(send=conversation_pb2.Send(message=message))


def says(event: Event) -> str:
    """All that an agent's message says; empty for other events."""
    parts = event.message.message.parts if event.HasField("message") else ()
    return "\n".join(part.text.text or part.speech.text or part.card.text for part in parts)


def settles(event: Event, message_id: str) -> bool:
    """Whether an event is the SENT or FAILED of a message."""
    return event.receipt.message_id == message_id and event.receipt.status in (SENT, FAILED)


def name(event: Event) -> str:
    """An event in a word or two, for people."""
    kind = event.WhichOneof("event") or "unset"
    if kind == "receipt":
        status = conversation_pb2.ReceiptStatus.Name(event.receipt.status).removeprefix("RECEIPT_STATUS_")
        reason = f" by {event.receipt.fault.reason}" if event.receipt.HasField("fault") else ""
        return f"{status}({event.receipt.message_id}{reason})"
    return f"message({says(event)[:40]!r})" if kind == "message" else kind


class Conversation:
    """One stream of a session."""

    def __init__(
        self, client: Client, opening: conversation_pb2.Open, answer_within: timedelta, ack_every: int
    ) -> None:
        self.opening = opening
        """How it was opened."""
        self.events: list[Event] = []
        """Every event, in order."""
        self.sent: list[message_pb2.Message] = []
        """Every message that was given to the adapter on this stream."""
        self.status: Status | None = None
        """How the call ended; None while it goes on."""
        self.answer_within = answer_within
        """How long the agent may take."""
        self._client = client
        self.ack_every = ack_every
        """After how many events they are acknowledged; 0: never."""
        self._acked = 0
        self._call = client.adapter.Converse()
        self._writing = asyncio.Lock()
        self._changed = asyncio.Event()
        self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        with contextlib.suppress(grpc.aio.AioRpcError, asyncio.CancelledError):
            while isinstance(frame := await self._call.read(), conversation_pb2.ConverseResponse):
                self.events += frame.events
                self._hear(frame.events)
                self._changed.set()
                await self._ack_when_due()
        code = await self._call.code()
        self.status = Status.read(
            code, await self._call.details() or "", await self._call.trailing_metadata()
        )
        self._client.hear(self.status.text())
        self._changed.set()

    async def _ack_when_due(self) -> None:
        """Acknowledges when the adapter waits for it.

        Not sooner: where a call ends under a write, grpc.aio tells INTERNAL instead of the call's own status.
        """
        if self.ack_every and self._last_seq() - self._acked >= self.ack_every:
            await self.acknowledge()

    def _last_seq(self) -> int:
        return max((event.seq for event in self.events), default=0)

    def _hear(self, events: Sequence[Event]) -> None:
        for event in events:
            if event.WhichOneof("event") in ("receipt", "raw", "closed"):
                self._client.hear(str(event))

    async def write(self, *items: HostItem, ack: int = 0) -> None:
        """Writes a frame. On a call that is over it does nothing: its status tells.

        Raises:
            BrokenError: The adapter reads nothing.
        """
        await self.write_frame(conversation_pb2.ConverseRequest(items=items, ack=ack))

    async def write_frame(self, frame: conversation_pb2.ConverseRequest) -> None:
        """As `write`, with the frame made by the caller."""
        self.sent += [item.send.message for item in frame.items if item.HasField("send")]
        try:
            async with asyncio.timeout(CALL_LIMIT.total_seconds()), self._writing:
                await self._call.write(frame)
        except TimeoutError:
            raise BrokenError("the adapter to read what the host writes", "nothing read in 10 s") from None
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            return

    async def acknowledge(self) -> None:
        """Acknowledges all events that came."""
        self._acked = self._last_seq()
        await self.write(ack=self._acked)

    async def half_close(self) -> None:
        """Says that no item follows."""
        with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
            await self._call.done_writing()

    async def close(self) -> None:
        """Asks the adapter to end the session."""
        reason = conversation_pb2.CLOSE_REASON_DONE
        await self.write(HostItem(close=conversation_pb2.Close(reason=reason)))

    async def cancel(self) -> None:
        """Cancels the call, as a host does that lost its way; not a Close."""
        self._call.cancel()
        await self._reader

    async def until(
        self, wanted: Callable[[Event], bool], what: str, within: timedelta | None = None
    ) -> Event:
        """Waits for an event, one that came already included.

        Raises:
            BrokenError: The call ended, or the time passed, without it.
        """
        limit = within or self.answer_within
        found = await self._wait(lambda: next((event for event in self.events if wanted(event)), None), limit)
        if found is None:
            raise BrokenError(what, self.account(limit))
        return found

    async def _wait(self, find: Callable[[], T | None], within: timedelta) -> T | None:
        try:
            async with asyncio.timeout(within.total_seconds()):
                while (found := find()) is None and self.status is None:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return None
        return found

    async def quiet(self, within: timedelta) -> bool:
        """Waits for any further event. Returns True where none came."""
        before = len(self.events)
        return await self._wait(lambda: True if len(self.events) > before else None, within) is None

    async def begun(self) -> None:
        """Waits for the first event, or the end of the call."""
        await self._wait(lambda: self.events or None, self.answer_within)

    async def opened(self) -> conversation_pb2.Opened:
        """Waits for Opened."""
        return (await self.until(lambda event: event.HasField("opened"), "Opened")).opened

    async def settled(self, message_id: str, within: timedelta | None = None) -> Event:
        """Waits for a message's SENT or FAILED."""
        what = f"SENT or FAILED of {message_id}"
        return await self.until(lambda event: settles(event, message_id), what, within)

    async def answered(self, text: str) -> Event:
        """Waits for an answer that contains a text."""
        return await self.until(lambda event: text in says(event), f"an answer that contains {text!r}")

    async def say(self, text: str) -> message_pb2.Message:
        """Sends a text, without waiting for anything."""
        message = text_message(text)
        await self.write(send(message))
        return message

    async def exchange(self) -> message_pb2.Message:
        """Sends a text, and waits for its SENT and its answer.

        Raises:
            BrokenError: It was not sent or not answered.
        """
        text = words()
        message = await self.say(text)
        receipt = await self.settled(message.id)
        if receipt.receipt.status != SENT:
            raise BrokenError(f"a short text to be sent, as {message.id}", name(receipt))
        await self.answered(text)
        return message

    async def ended(self, within: timedelta = CLOSE_LIMIT) -> Status:
        """Waits for the end of the call.

        Raises:
            BrokenError: It goes on.
        """
        try:
            async with asyncio.timeout(within.total_seconds()):
                await asyncio.shield(self._reader)
        except TimeoutError:
            pass
        if self.status is None:
            raise BrokenError("the call to end", self.account(within))
        return self.status

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *raised: object) -> None:
        """Ends the session, so that it takes no place from later rules, or else the call; judges nothing."""
        if self.status is None:
            await self.close()
            with contextlib.suppress(BrokenError):
                await self.ended(_POLITE_LIMIT)
        await self.cancel()

    def account(self, waited: timedelta) -> str:
        """The last events and the state of the call, in a line."""
        came = ", ".join(name(event) for event in self.events[-5:]) or "no event"
        if len(self.events) > 5:
            came = f"... {came}"
        if self.status is None:
            return f"{came}, then nothing within {waited.total_seconds():g} s"
        return f"{came}, then the end of the call with {self.status}"
