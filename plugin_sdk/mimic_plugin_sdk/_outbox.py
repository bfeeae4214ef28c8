"""A conversation's events on their way to the host: kept until acknowledged, and put into frames."""

import asyncio
from collections import deque

# A frame is closed once it has this many bytes; a single event may be larger.
_FRAME_BYTES = 1 << 20


class Outbox:
    """Keeps events until the host has stored them, and hands them to whichever stream is there.

    Events are kept in serialized form, each as a frame of its own: frames of repeated events join into a
    larger one by joining their bytes (protobuf's encoding guide, "Last One Wins" and repeated fields).
    """

    __slots__ = (
        "_head",
        "_kept",
        "_limit",
        "_loop",
        "_pending",
        "_pending_bytes",
        "_reader",
        "_unbounded",
        "_waiting",
        "acked",
        "ended",
        "last_seq",
    )

    def __init__(self, limit: int) -> None:
        """Make an empty one. Nothing is handed out before `open_with`.

        Args:
            limit: Most events that may be handed out and unacknowledged; at it, `room` waits.
        """
        self._loop = asyncio.get_running_loop()
        self._limit = limit
        self._head: bytes | None = None
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._kept: deque[bytes] = deque()
        self._reader: asyncio.Future[None] | None = None
        self._waiting: list[asyncio.Future[None]] = []
        self._unbounded = False
        self.last_seq = 0
        """Number of the newest event."""
        self.acked = 0
        """Number of the newest event that was forgotten."""
        self.ended = False
        """True: nothing will be added."""

    def add(self, event: bytes) -> None:
        """Queue the next event.

        Args:
            event: A serialized frame with exactly this event, numbered `last_seq` + 1.
        """
        self.last_seq += 1
        self._pending.append(event)
        self._pending_bytes += len(event)
        reader = self._reader
        if reader is not None and not reader.done():
            reader.set_result(None)

    def open_with(self, opened: bytes) -> None:
        """Begin to hand out, an unnumbered frame first.

        Args:
            opened: The frame with Opened.
        """
        self._head = opened
        self._wake()

    def end(self) -> None:
        """Say that nothing will be added."""
        self.ended = True
        self.lift_limit()

    def lift_limit(self) -> None:
        """Wait for the host no more: it has said its last word, and acknowledges nothing."""
        self._unbounded = True
        self._wake()
        self._let_in()

    def take(self) -> bytes:
        """Hand out the next frame. Returns b"" while there is none, or the host is behind by the limit."""
        head = self._head
        if head is None:
            return b""
        pending = self._pending
        kept = self._kept
        if not pending:
            self._head = b""
            return head
        room = len(pending) if self._unbounded else self._limit - len(kept)
        if head or room < len(pending) or self._pending_bytes > _FRAME_BYTES:
            return self._take_some(head, room)
        kept.extend(pending)
        data = pending[0] if len(pending) == 1 else b"".join(pending)
        self._pending = []
        self._pending_bytes = 0
        return data

    def _take_some(self, head: bytes, room: int) -> bytes:
        self._head = b""
        size = count = 0
        for data in self._pending[: max(room, 0)]:
            if count and size + len(data) > _FRAME_BYTES:
                break
            count += 1
            size += len(data)
        batch = self._pending[:count]
        del self._pending[:count]
        self._pending_bytes -= size
        self._kept.extend(batch)
        return head + b"".join(batch)

    def something(self) -> asyncio.Future[None]:
        """Return a future for the next moment that `take` may have something. One caller at a time."""
        self._reader = reader = self._loop.create_future()
        return reader

    def ack(self, seq: int) -> None:
        """Forget every event up to one; more than was handed out is ignored.

        Args:
            seq: Number of the newest event that the host has stored.
        """
        kept = self._kept
        count = seq - self.acked
        if count <= 0 or count > len(kept):
            return
        self.acked = seq
        if count == len(kept):
            kept.clear()
        else:
            for _ in range(count):
                kept.popleft()
        if self._pending:
            self._wake()
        if self._waiting and not self.full:
            self._let_in()

    @property
    def settled(self) -> bool:
        """True: the host has stored everything."""
        return not self._kept and not self._pending

    @property
    def full(self) -> bool:
        """True: the host is behind by the limit."""
        return len(self._kept) + len(self._pending) >= self._limit and not self._unbounded

    async def room(self) -> None:
        """Wait until the host has caught up, in the order asked."""
        while self.full:
            waiting = self._loop.create_future()
            self._waiting.append(waiting)
            await waiting

    def rewind(self, last_seq: int) -> bool:
        """Prepare for another stream: every event after one is handed out again. `open_with` follows.

        Args:
            last_seq: Number of the newest event that the host has stored.

        Returns:
            False, with nothing changed, when events after it are forgotten or it was never handed out.
        """
        if not self.acked <= last_seq <= self.acked + len(self._kept):
            return False
        self.ack(last_seq)
        self._head = None
        self._pending_bytes += sum(map(len, self._kept))
        self._pending = [*self._kept, *self._pending]
        self._kept.clear()
        return True

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    def _let_in(self) -> None:
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            if not one.done():
                one.set_result(None)
