"""One conversation, as the adapter's author sees it."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Generic

from mimic.adapter.v1.conversation_pb2 import Open, ReceiptStatus

from mimic_plugin_sdk import _convert, _convert_event
from mimic_plugin_sdk._connection import Connection, SettingsT
from mimic_plugin_sdk._fault import Fault
from mimic_plugin_sdk._items import ClosedBy, CloseReason, Item, PersonaFace, RawDirection, Resume
from mimic_plugin_sdk._media import Offers
from mimic_plugin_sdk._message import Media, MediaKind, Part
from mimic_plugin_sdk._outbox import Outbox
from mimic_plugin_sdk._redact import redacted, redacted_and_cut
from mimic_plugin_sdk._sends import Sends
from mimic_plugin_sdk._wire_time import WireTime

_RAW_BYTES = 64 * 1024
ID_BYTES = 128
"""Longest id of a message, in UTF-8."""


class Conversation(Generic[SettingsT]):
    """One session's conversation with the agent. Iterate it for the host's items; call it with what happens.

    The calls that are not awaited never block. The awaited ones (`reply`, `edit`, `delete`, `typing`) wait
    while the host is behind: that is the back-pressure, so await them before reading on from the channel.
    What is called in one tick of the event loop leaves in one frame. After the end, calls do nothing.
    """

    session_id: str
    """The session's id, a UUID. What the platform needs (user id, phone number) is derived from it and
    `attempt`, so that a restarted adapter finds it again."""
    attempt: int
    """1 for the first try of this session, then 2, 3 ... Each attempt is a conversation of its own."""
    connection: Connection[SettingsT]
    """The connection that it runs over, with its settings."""
    persona: PersonaFace
    """What the agent may see of the persona."""
    capture_raw: bool
    """True: the host wants `raw` payloads."""
    seed: int
    """Seed of the session, for whatever the adapter does at random."""
    resume: Resume | None
    """Set when another process of this adapter served the session before; answer it by `opened`. None: it is
    new. A stream that broke and came back to the same process is the SDK's business and is not seen here."""
    close_reason: CloseReason | None
    """Why the host ended it. None while it has not."""

    def __init__(self, asked: Open, connection: Connection[SettingsT], epoch: str, max_unacked: int) -> None:
        """Begin one; the SDK does.

        Args:
            asked: The host's Open.
            connection: The connection that it names.
            epoch: Id of this process.
            max_unacked: Most events that are held before the host has stored them.
        """
        self.session_id = asked.session_id
        self.attempt = asked.attempt
        self.connection = connection
        self.persona = _convert.face_from_wire(asked.persona)
        self.capture_raw = asked.capture_raw
        self.seed = asked.seed
        self.resume = resume = _convert.resume_from_wire(asked.resume) if asked.HasField("resume") else None
        self.close_reason = None
        self._loop = asyncio.get_running_loop()
        self._epoch = epoch
        self._outbox = Outbox(max_unacked)
        self._sends = Sends(resume.settled_message_ids, resume.unsettled_message_ids) if resume else Sends()
        self._offers = Offers()
        self._inbox: deque[Item] = deque()
        self._arrival: asyncio.Future[None] | None = None
        self._ref: str | None = None
        self._ended = False
        self._over = False
        self._made_ids = 0
        self._raw_dropped = 0

    def __aiter__(self) -> AsyncIterator[Item]:
        """Iterate what the host says, in order, until it closes or `closed` is called."""
        if self._ref is None:
            self.opened()
        return self

    async def __anext__(self) -> Item:
        inbox = self._inbox
        if self._outbox.full:
            # What the persona says brings events too; a host that is behind is not asked for more.
            await self._outbox.room()
        while not inbox:
            if self._ended:
                raise StopAsyncIteration
            if self._arrival is not None and not self._arrival.done():
                raise RuntimeError("two tasks iterate one conversation")
            self._arrival = arrival = self._loop.create_future()
            await arrival
        return inbox.popleft()

    def opened(self, conversation_ref: str = "", *, resumed: bool = False) -> None:
        """Say that the conversation is ready. Called by the SDK if not before the first item or event.

        Args:
            conversation_ref: The platform's own reference of it (chat id, call SID), shown to people.
            resumed: True only in answer to `resume`: it is the same conversation, nothing missing and nothing
                twice, and each of `resume.unsettled_message_ids` gets its receipt. False where `resume` is
                set: it cannot go on; the host ends it, and may make a new attempt.

        Raises:
            RuntimeError: It was opened before.
        """
        if self._ref is not None:
            raise RuntimeError("the conversation was opened before")
        self._ref = conversation_ref
        resumed = resumed and self.resume is not None
        self._outbox.open_with(_convert_event.opened_frame(self._epoch, conversation_ref, resumed=resumed))

    def sent(self, message_id: str, *, time: WireTime | None = None) -> None:
        """Tell that a message of the persona left, and the channel took it.

        Each Send gets exactly one of `sent` and `failed`; a second is ignored and named in the log.

        Args:
            message_id: The message's id.
            time: When the last of its bytes left. None: now.
        """
        self._receipt(message_id, _convert_event.SENT, time, None)

    def delivered(self, message_id: str, *, time: WireTime | None = None) -> None:
        """Tell that a message of the persona reached the agent; after `sent`.

        Args:
            message_id: The message's id.
            time: When the adapter learned of it. None: now.
        """
        self._receipt(message_id, _convert_event.DELIVERED, time, None)

    def read_by_agent(self, message_id: str, *, time: WireTime | None = None) -> None:
        """Tell that the agent read a message of the persona; after `sent`.

        Args:
            message_id: The message's id.
            time: When the adapter learned of it. None: now.
        """
        self._receipt(message_id, _convert_event.READ, time, None)

    def failed(self, message_id: str, fault: Fault, *, time: WireTime | None = None) -> None:
        """Tell that a message of the persona was not sent. The conversation goes on.

        Args:
            message_id: The message's id.
            fault: Why, and whose fault it is.
            time: When the adapter learned of it. None: now.
        """
        self._receipt(message_id, _convert_event.FAILED, time, fault)

    async def reply(
        self,
        content: str | Part | Sequence[Part],
        *,
        id: str = "",
        first_byte: WireTime | None = None,
        last_byte: WireTime | None = None,
        in_reply_to: str = "",
    ) -> str:
        """Tell what the agent said, as soon as it is whole.

        Args:
            content: The text, or the parts.
            id: The platform's id of the message, unique within the conversation, at most 128 bytes. Empty:
                the SDK makes one.
            first_byte: When its first byte arrived. None: now.
            last_byte: When its last byte arrived. None: with the first.
            in_reply_to: Id of the persona's message that it answers. Empty: the channel does not tell.

        Returns:
            The message's id.

        Raises:
            ValueError: There is no content, or the id is too long.
        """
        outbox = self._outbox
        if outbox.full:
            # Waiting for the host must not count as the agent's time.
            first_byte = first_byte or WireTime.now()
            await outbox.room()
        message_id = self._checked_id(id)
        parts = content if isinstance(content, str) else self._offers.fitted(content)
        if not parts:
            raise ValueError("a message of the agent has no content")
        if self._emits():
            event = _convert_event.message_event(
                outbox.last_seq + 1,
                message_id,
                parts,
                first_byte=first_byte,
                last_byte=last_byte,
                in_reply_to=in_reply_to,
            )
            outbox.add(event)
        return message_id

    async def edit(
        self,
        replaces: str,
        content: str | Part | Sequence[Part],
        *,
        id: str = "",
        first_byte: WireTime | None = None,
        last_byte: WireTime | None = None,
    ) -> str:
        """Tell that the agent changed an earlier message of its own.

        Args:
            replaces: Id of the message that is changed.
            content: What it says now.
            id: Id of the edit itself. Empty: the SDK makes one.
            first_byte: When the edit's first byte arrived. None: now.
            last_byte: When its last byte arrived. None: with the first.

        Returns:
            The edit's id.

        Raises:
            ValueError: There is no content, or an id is empty or too long.
        """
        parts = content if isinstance(content, str) else self._offers.fitted(content)
        if not parts:
            raise ValueError("an edit of the agent has no content")
        return await self._replace(id, replaces, parts, first_byte, last_byte)

    async def delete(self, replaces: str, *, id: str = "", first_byte: WireTime | None = None) -> str:
        """Tell that the agent took back an earlier message of its own.

        Args:
            replaces: Id of the message that is taken back.
            id: Id of the deletion itself. Empty: the SDK makes one.
            first_byte: When the adapter learned of it. None: now.

        Returns:
            The deletion's id.

        Raises:
            ValueError: An id is empty or too long.
        """
        return await self._replace(id, replaces, (), first_byte, None)

    async def typing(self) -> None:
        """Tell that the agent is typing; it extends the quiet time that ends the agent's turn."""
        await self._outbox.room()
        if self._emits():
            self._outbox.add(_convert_event.typing_event(self._outbox.last_seq + 1))

    def turn_complete(self, message_id: str = "") -> None:
        """Tell that the agent has finished its turn.

        Args:
            message_id: The persona's last message of that turn, so that an answer that comes late does not
                end the turn after it. Empty: the turn under way.
        """
        if self._emits():
            self._outbox.add(_convert_event.turn_complete_event(self._outbox.last_seq + 1, message_id))

    def raw(
        self,
        direction: RawDirection,
        payload: str | bytes,
        *,
        label: str = "",
        time: WireTime | None = None,
        fault: Fault | None = None,
    ) -> None:
        """Tell what went over the channel's wire. Does nothing unless `capture_raw`.

        Secrets of the connection's settings are redacted, and the payload is cut at 64 KiB. While the host is
        behind, payloads are dropped, and the next one's label says how many.

        Args:
            direction: Which way it went.
            payload: The payload; bytes are taken for UTF-8.
            label: What it was, such as "POST /chat 200".
            time: When it went. None: now.
            fault: A malformed or unknown call of the agent's, or a gap of the adapter's. None: nothing wrong.
        """
        if not self.capture_raw or not self._emits():
            return
        if self._outbox.full:
            self._raw_dropped += 1
            return
        if isinstance(payload, bytes):
            # Cut before decoding: what is far beyond the limit need not be read at all.
            payload = payload[: 2 * _RAW_BYTES].decode(errors="replace")
        if self._raw_dropped:
            label = f"{label} ({self._raw_dropped} payloads before it were dropped)".lstrip()
            self._raw_dropped = 0
        payload = redacted_and_cut(payload, _RAW_BYTES)
        seq = self._outbox.last_seq + 1
        event = _convert_event.raw_event(
            seq, direction, payload, time=time, label=redacted(label), fault=fault
        )
        self._outbox.add(event)

    def offer_media(
        self,
        source: bytes | Callable[[], AsyncIterator[bytes]],
        *,
        kind: MediaKind = MediaKind.UNKNOWN,
        mime_type: str = "",
        name: str = "",
        size_bytes: int = 0,
    ) -> Media:
        """Make a part of an agent's file; the host fetches a large one while the conversation lasts.

        Args:
            source: The bytes, or a callable that begins reading them anew, in pieces of any size.
            kind: What the file is to the receiver.
            mime_type: MIME type. Empty: unknown.
            name: File name without a path. Empty: none.
            size_bytes: Size in bytes. 0: unknown, or that of `source` where it is bytes.

        Returns:
            A part for `reply`: with the bytes inline up to 1 MiB, otherwise with a media_id.
        """
        described = Media(kind=kind, mime_type=mime_type, name=name, size_bytes=size_bytes)
        return self._offers.offered(source, described)

    def closed(self, by: ClosedBy = ClosedBy.AGENT, reason: str = "", *, fault: Fault | None = None) -> None:
        """Tell that the agent or the platform ended the conversation. Ends the iteration; nothing follows.

        What has no receipt yet is told as not sent: settle before what may have left.

        Args:
            by: Who ended it.
            reason: One line for people. Empty: nothing to add.
            fault: Set when it ended by a fault.
        """
        self._tell_closed(by, reason, fault)
        self._inbox.clear()

    def _receipt(
        self, message_id: str, status: ReceiptStatus.ValueType, time: WireTime | None, fault: Fault | None
    ) -> None:
        if self._emits() and self._sends.allow(message_id, status):
            event = _convert_event.receipt_event(self._outbox.last_seq + 1, message_id, status, time, fault)
            self._sends.note(message_id, status, event)
            self._outbox.add(event)

    async def _replace(
        self,
        message_id: str,
        replaces: str,
        parts: str | Sequence[Part],
        first_byte: WireTime | None,
        last_byte: WireTime | None,
    ) -> str:
        if not replaces:
            raise ValueError("the id of the message that is replaced is empty")
        message_id = self._checked_id(message_id)
        first_byte = first_byte or WireTime.now()
        await self._outbox.room()
        if self._emits():
            seq = self._outbox.last_seq + 1
            event = _convert_event.edit_event(
                seq, message_id, replaces, parts, first_byte=first_byte, last_byte=last_byte
            )
            self._outbox.add(event)
        return message_id

    def _tell_closed(self, by: ClosedBy | None, reason: str, fault: Fault | None) -> None:
        if self._emits():
            self._outbox.add(_convert_event.closed_event(self._outbox.last_seq + 1, by, reason, fault))
            self._over = True
            self._end_items()

    def _emits(self) -> bool:
        if self._ref is None:
            self.opened()
        return not self._over

    def _end_items(self) -> None:
        self._ended = True
        if self._arrival is not None and not self._arrival.done():
            self._arrival.set_result(None)

    def _checked_id(self, message_id: str) -> str:
        if not message_id:
            self._made_ids += 1
            # The epoch keeps it apart from what another process made in the same attempt.
            return f"{self._epoch[:8]}-{self._made_ids}"
        if len(message_id) > ID_BYTES // 4 and len(message_id.encode()) > ID_BYTES:
            raise ValueError(f"a message's id has more than {ID_BYTES} bytes: {message_id[:40]!r}...")
        return message_id
