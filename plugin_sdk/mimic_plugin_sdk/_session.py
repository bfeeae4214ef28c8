"""A session: the author's coroutine, and its life across the streams that come and go."""

import asyncio
import contextvars
import logging
from collections.abc import Callable
from typing import Any

from grpc import StatusCode
from mimic.adapter.v1 import conversation_pb2 as pb

from mimic_plugin_sdk import _convert, _convert_event, _log
from mimic_plugin_sdk._adapter import Adapter
from mimic_plugin_sdk._connection import Connection
from mimic_plugin_sdk._conversation import ID_BYTES, Conversation
from mimic_plugin_sdk._convert_message import message_from_wire, name_unknown
from mimic_plugin_sdk._fault import Fault, FaultSource
from mimic_plugin_sdk._items import ClosedBy, CloseReason, PersonaTyping, Read, Send
from mimic_plugin_sdk._status import Failure, failure_of, refused

_logger = logging.getLogger("mimic_plugin_sdk")

RESUMABLE_SECONDS = 60.0
"""How long a session waits for the host to come back, and what it said is kept after its end."""
CLOSING_SECONDS = 4.0
"""How long an author may tidy up after Close; the contract gives the whole adapter 5 s."""
_CANCELLED_SECONDS = 0.3
"""How long a cancelled author may tidy up."""
_MOST_WAITING_ITEMS = 10_000


class Session(Conversation[Any]):
    """One session: what an author holds as his `Conversation`, with the side that faces the host.

    A stream is attached, detaches when the call breaks, and another may be attached within a minute.
    Meanwhile the author's coroutine goes on. The session ends with the coroutine; what the host has not yet
    acknowledged is kept for another minute.
    """

    def __init__(
        self,
        asked: pb.Open,
        connection: Connection[Any],
        adapter: Adapter[Any],
        epoch: str,
        gone: Callable[["Session"], None],
    ) -> None:
        """Make one; `start` begins it.

        Args:
            asked: The host's Open.
            connection: The connection that it names.
            adapter: The author's adapter.
            epoch: Id of this process.
            gone: Called once nothing of the session is worth keeping.
        """
        super().__init__(asked, connection, epoch, adapter.manifest.capabilities.max_unacked_events)
        self._adapter = adapter
        self._gone = gone
        self._author: asyncio.Task[None] | None = None
        self._timers: list[asyncio.TimerHandle] = []
        self._forgetting: asyncio.TimerHandle | None = None
        self._free = asyncio.Event()
        self._free.set()
        self._finished = asyncio.Event()
        self._stopping = False
        self.failure: Failure | None = None
        """How its streams end once everything is told. None: with OK."""

    def start(self) -> None:
        """Run the author's coroutine."""
        context = contextvars.copy_context()
        context.run(_log.session_id.set, self.session_id)
        self._author = self._loop.create_task(self._adapter.converse(self), context=context)
        self._author.add_done_callback(self._author_done)

    @property
    def ended(self) -> bool:
        """True: the author's coroutine is over, and nothing more will happen."""
        return self._finished.is_set()

    @property
    def outbox(self) -> Any:
        """The events on their way to the host."""
        return self._outbox

    @property
    def offers(self) -> Any:
        """The files on offer."""
        return self._offers

    # --- streams -------------------------------------------------------------------------------------------

    @property
    def attached(self) -> bool:
        """True: a stream is attached."""
        return not self._free.is_set()

    async def detached(self, within_seconds: float) -> bool:
        """Wait for the stream to let go. Returns False when it did not in time.

        Args:
            within_seconds: How long to wait.
        """
        try:
            await asyncio.wait_for(self._free.wait(), within_seconds)
        except TimeoutError:
            return False
        return True

    def attach(self) -> None:
        """Let a stream take over. `detach` follows."""
        self._free.clear()
        if self._forgetting is not None:
            self._forgetting.cancel()

    def resume_from(self, last_seq: int) -> bool:
        """Go on over the stream that was just attached, with everything after an event.

        Args:
            last_seq: Number of the newest event that the host has stored.

        Returns:
            False when events after it are lost.
        """
        opened = self._ref is not None
        if not self._outbox.rewind(last_seq):
            return False
        if opened:
            self._outbox.open_with(_convert_event.opened_frame(self._epoch, self._ref or "", resumed=True))
        return True

    def fail_unseen(self, message_ids: list[str]) -> None:
        """Tell that Sends were lost on the way here, of a host that would never repeat them.

        Args:
            message_ids: What the host believes may have been sent.
        """
        for message_id in message_ids:
            if self._sends.accept(message_id):
                fault = Fault(FaultSource.MIMIC, "SEND_LOST", "the message never reached the adapter")
                self.failed(message_id, fault)

    def detach(self) -> None:
        """Note that the stream is gone; another may come within a minute."""
        self._free.set()
        if self.ended and self._outbox.settled:
            self._gone(self)
        elif self.ended or self._adapter.manifest.capabilities.resumable:
            self._forgetting = self._loop.call_later(RESUMABLE_SECONDS, self._forget)
        else:
            self._forget()

    def _forget(self) -> None:
        if not self.ended:
            _logger.info("session %s: its host did not come back", self.session_id)
            self.stop(refused(StatusCode.ABORTED, "HOST_AWAY", "the host did not come back in time"))
        self._gone(self)

    # --- what the host says --------------------------------------------------------------------------------

    def take(self, item: pb.HostItem) -> Failure | None:
        """Take one item. Returns a failure when the item breaks the contract.

        Args:
            item: The item, other than Open.
        """
        kind = item.WhichOneof("item")
        if self._ended:
            return None
        if kind == "send":
            return self._take_send(item.send)
        if kind == "typing":
            self._arrived(PersonaTyping())
        elif kind == "read":
            self._arrived(Read(item.read.message_id))
        elif kind == "close":
            self.close(_convert.close_reason_from_wire(item.close.reason))
        elif kind == "open":
            return refused(StatusCode.INVALID_ARGUMENT, "OPENED_TWICE", "a stream is opened once")
        else:
            name_unknown("a host item")
        return None

    def _take_send(self, send: pb.Send) -> Failure | None:
        wire = send.message
        message_id = wire.id
        if not message_id or (len(message_id) > ID_BYTES // 4 and len(message_id.encode()) > ID_BYTES):
            text = f"the id of a message has 1 to {ID_BYTES} bytes"
            return refused(StatusCode.INVALID_ARGUMENT, "MESSAGE_ID_INVALID", text)
        if not self._sends.accept(message_id):
            for event in self._sends.told(message_id):
                self._outbox.add(_convert_event.renumbered(self._outbox.last_seq + 1, event))
            return None
        if len(self._inbox) >= _MOST_WAITING_ITEMS:
            text = f"{_MOST_WAITING_ITEMS} items wait for the adapter"
            return refused(StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_ITEMS", text)
        message = message_from_wire(wire)
        if message.parts or message.deleted:
            self._arrived(Send(message, send.more))
        else:
            text = "the message has no part that the adapter knows"
            self.failed(message_id, Fault(FaultSource.ADAPTER, "PARTS_UNKNOWN", text))
        return None

    def _arrived(self, item: Any) -> None:
        self._inbox.append(item)
        arrival = self._arrival
        if arrival is not None and not arrival.done():
            arrival.set_result(None)

    def close(self, reason: CloseReason) -> None:
        """End the iteration, and the author after a while.

        Args:
            reason: Why the host closed.
        """
        if self.close_reason is not None or self.ended:
            return
        self.close_reason = reason
        self._end_items()
        # The host acknowledges nothing after its last word, so nothing may wait for that.
        self._outbox.lift_limit()
        self._timers.append(self._loop.call_later(CLOSING_SECONDS, self._cancel_author))

    # --- the end -------------------------------------------------------------------------------------------

    def closed(self, by: ClosedBy = ClosedBy.AGENT, reason: str = "", *, fault: Fault | None = None) -> None:
        if not self._over:
            for message_id in list(self._sends.missing()):
                text = "the conversation ended before the message was sent"
                self.failed(message_id, fault or Fault(FaultSource.CHANNEL, "CONVERSATION_ENDED", text))
            super().closed(by, reason, fault=fault)
            self._timers.append(self._loop.call_later(CLOSING_SECONDS, self._cancel_author))

    def stop(self, failure: Failure) -> None:
        """End the session at once; its stream gets what was said so far, then the failure.

        Args:
            failure: Why.
        """
        if not self.ended:
            self.failure = failure
            self._cancel_author()

    async def finished(self) -> None:
        """Wait until the author's coroutine is over."""
        await self._finished.wait()

    def _cancel_author(self) -> None:
        if not self._stopping and self._author is not None:
            self._stopping = True
            self._author.cancel()
            self._timers.append(self._loop.call_later(_CANCELLED_SECONDS, self._abandon_author))

    def _abandon_author(self) -> None:
        if not self.ended:
            _logger.error("session %s: converse goes on although it was cancelled", self.session_id)
            self._finish()

    def _author_done(self, author: asyncio.Task[None]) -> None:
        if self.ended:
            # Abandoned before; fetched, so that asyncio does not complain.
            author.cancelled() or author.exception()
            return
        if author.cancelled():
            if not self._stopping:
                self._fail(failure_of(asyncio.CancelledError(), "converse"))
        elif (error := author.exception()) is not None:
            self._fail(failure_of(error, "converse"))
        elif not self._ended:
            text = "converse returned although nobody had ended the conversation"
            fault = Fault(FaultSource.ADAPTER, "RETURNED_EARLY", text, "call closed() before returning")
            self._fail(Failure(StatusCode.INTERNAL, fault))
        self._finish()

    def _fail(self, failure: Failure) -> None:
        # After Closed nothing follows: what tidying up raised is in the log, and harms nobody.
        if self.failure is None and not self._over:
            self.failure = failure

    def _finish(self) -> None:
        for timer in self._timers:
            timer.cancel()
        if self.failure is None and not self._over:
            for message_id in list(self._sends.missing()):
                text = "converse ended without saying whether the message was sent"
                self.failed(message_id, Fault(FaultSource.ADAPTER, "RECEIPT_MISSING", text))
            self._tell_closed(None, "", None)
        self._over = self._ended = True
        self._finished.set()
        self._outbox.end()
        if not self.attached and self._outbox.settled:
            self._gone(self)
