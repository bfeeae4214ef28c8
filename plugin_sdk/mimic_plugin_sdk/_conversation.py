"""One conversation, as the adapter's author sees it."""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Generic

from mimic_plugin_sdk._connection import Connection, SettingsT
from mimic_plugin_sdk._fault import Fault
from mimic_plugin_sdk._items import ClosedBy, CloseReason, Item, PersonaFace, RawDirection, Resume
from mimic_plugin_sdk._message import Media, MediaKind, Part
from mimic_plugin_sdk._wire_time import WireTime

# SKELETON: signatures are final, bodies follow.


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

    def __aiter__(self) -> AsyncIterator[Item]:
        """Iterate what the host says, in order, until it closes or `closed` is called."""
        raise NotImplementedError

    def opened(self, conversation_ref: str = "", *, resumed: bool = False) -> None:
        """Say that the conversation is ready. Called by the SDK if the author has not before the first item.

        Args:
            conversation_ref: The platform's own reference of it (chat id, call SID), shown to people.
            resumed: True only in answer to `resume`: it is the same conversation, nothing missing and nothing
                twice, and each of `resume.unsettled_message_ids` gets its receipt. False where `resume` is
                set: it cannot go on; the host ends it, and may make a new attempt.

        Raises:
            RuntimeError: It was opened before.
        """
        raise NotImplementedError

    def sent(self, message_id: str, *, time: WireTime | None = None) -> None:
        """Tell that a message of the persona left, and the channel took it.

        Each Send gets exactly one of `sent` and `failed`; a second is ignored and named in the log.

        Args:
            message_id: The message's id.
            time: When the last of its bytes left. None: now.
        """
        raise NotImplementedError

    def delivered(self, message_id: str, *, time: WireTime | None = None) -> None:
        """Tell that a message of the persona reached the agent; after `sent`.

        Args:
            message_id: The message's id.
            time: When the adapter learned of it. None: now.
        """
        raise NotImplementedError

    def read_by_agent(self, message_id: str, *, time: WireTime | None = None) -> None:
        """Tell that the agent read a message of the persona; after `sent`.

        Args:
            message_id: The message's id.
            time: When the adapter learned of it. None: now.
        """
        raise NotImplementedError

    def failed(self, message_id: str, fault: Fault, *, time: WireTime | None = None) -> None:
        """Tell that a message of the persona was not sent. The conversation goes on.

        Args:
            message_id: The message's id.
            fault: Why, and whose fault it is.
            time: When the adapter learned of it. None: now.
        """
        raise NotImplementedError

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
        raise NotImplementedError

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
        raise NotImplementedError

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
        raise NotImplementedError

    async def typing(self) -> None:
        """Tell that the agent is typing; it extends the quiet time that ends the agent's turn."""
        raise NotImplementedError

    def turn_complete(self) -> None:
        """Tell that the agent has finished its turn. Only where the manifest declares `turn_complete`."""
        raise NotImplementedError

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
        raise NotImplementedError

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
        raise NotImplementedError

    def closed(self, by: ClosedBy = ClosedBy.AGENT, reason: str = "", *, fault: Fault | None = None) -> None:
        """Tell that the agent or the platform ended the conversation. Ends the iteration; nothing follows.

        Args:
            by: Who ended it.
            reason: One line for people. Empty: nothing to add.
            fault: Set when it ended by a fault.
        """
        raise NotImplementedError
