"""One stream that a session is attached to: reads its items, and writes its events from where the host is."""

import asyncio
from collections.abc import AsyncIterator

from google.protobuf.unknown_fields import UnknownFieldSet
from mimic.adapter.v1 import conversation_pb2

from tests.support.adapters.broken.breaks import breaks
from tests.support.adapters.broken.session import EPOCH, Session


class Stream:
    def __init__(
        self, session: Session, requests: AsyncIterator[conversation_pb2.ConverseRequest], last_seq: int
    ) -> None:
        self.refused = ""
        """Why the adapter ends the call. Empty: it does not."""
        self._detached = False
        self._session = session
        self._cursor = last_seq
        self._loses = session.streams > 0 and last_seq == 0 and breaks("R5-resume-detached")
        session.streams += 1
        self._repeats_until = max((event.seq for event in session.events), default=0)
        self._reader = asyncio.create_task(self._read(requests))

    async def events(self, *, resumed: bool) -> AsyncIterator[conversation_pb2.Event]:
        """Opened, then every event until the session is over or the call has to end."""
        opened = conversation_pb2.Opened(
            epoch=EPOCH, conversation_ref=self._session.opening.session_id, resumed=resumed
        )
        yield conversation_pb2.Event(opened=opened, seq=1 if breaks("R1-opened-first") else 0)
        if breaks("R1-opened-first:twice"):
            yield conversation_pb2.Event(opened=opened)
        while True:
            async with self._session.changed:
                await self._session.changed.wait_for(lambda: self._pending() or self._over())
                pending = self._pending()
            if not pending or self._session.disconnected or self.refused:
                return
            for event in pending:
                self._cursor = event.seq
                yield self._repeated(event)

    def _pending(self) -> list[conversation_pb2.Event]:
        return [
            event
            for event in self._session.events
            if event.seq > self._cursor and not (self._loses and event.HasField("message"))
        ]

    def _over(self) -> bool:
        return self._session.closed or self._session.disconnected or bool(self.refused)

    def _repeated(self, event: conversation_pb2.Event) -> conversation_pb2.Event:
        if event.HasField("message") and event.seq <= self._repeats_until and breaks("R5-resume-repeats"):
            event.message.first_byte.monotonic_nanos += 1
        return event

    async def _read(self, requests: AsyncIterator[conversation_pb2.ConverseRequest]) -> None:
        async for frame in requests:
            await self._session.ack(frame.ack)
            if len(UnknownFieldSet(frame)) and breaks("R9-unknown-fields"):
                await self._refuse("an unknown field")
            items = list(frame.items)
            if sum(item.HasField("send") for item in items) > 1 and breaks("R3-frames"):
                items.reverse()
            for item in items:
                await self._take(item)
        # A call that is cancelled ends its reading like a half-close, and is told so a moment later.
        await asyncio.sleep(0.05)
        if not self._detached:
            self._session.half_closed = True
            self._session.close()

    async def _take(self, item: conversation_pb2.HostItem) -> None:
        match item.WhichOneof("item"):
            case "send":
                self._session.send(item.send.message)
            case "close":
                self._session.close()
            case "typing" if breaks("R3-typing-and-read"):
                await self._refuse("typing")
            case None if breaks("R9-unknown-items"):
                await self._refuse("an unknown item")

    async def _refuse(self, why: str) -> None:
        async with self._session.changed:
            self.refused = why
            self._session.changed.notify_all()

    def detach(self) -> None:
        # The reader ends with the call; to cancel it would end the call with "Internal error from Core".
        self._detached = True
        self._session.attached = False
