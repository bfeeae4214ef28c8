"""The record of one session: what is known of it, written to the journal before anything relies on it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from operator import itemgetter
from typing import Any

from mimic_server.domain.adapters import MessageEvent, ReceiptEvent
from mimic_server.domain.evaluations import EvaluationResult
from mimic_server.domain.ids import MessageId
from mimic_server.domain.messages import (
    Message,
    Part,
    RawPayload,
    ReceiptStatus,
    Sender,
    Stop,
    Usage,
)
from mimic_server.domain.ports import Journal, JournalEntry
from mimic_server.domain.sessions import Session

Publish = Callable[[int, Any], None]
"""Tells watchers of something that is stored: its rev, and the session, message or result."""


class Recorder:
    """The only writer of one session while it runs.

    What is recorded is known here at once and stored when `record` returns. Whoever is cancelled while it
    waits loses nothing: the entry is written all the same, in order, and watchers hear of it with the next.

    Attributes:
        session: The session as it is now.
        messages: The messages of the attempt under way, in order of seq.
    """

    def __init__(
        self,
        session: Session,
        stored: Sequence[Message],
        journal: Journal,
        publish: Publish,
        now: Callable[[], datetime],
        *,
        newest_rev: int = 0,
    ) -> None:
        attempt = session.attempt.number if session.attempt else 0
        self.session = session
        self.messages: list[Message] = [m for m in stored if m.attempt == attempt]
        self._at = {m.id: i for i, m in enumerate(self.messages)}
        self._seq = max((m.seq for m in stored), default=0)
        self._rev = max(session.rev, newest_rev, max((m.rev for m in stored), default=0))
        self._journal = journal
        self._publish = publish
        self._now = now
        self._unpublished: list[tuple[int, Any]] = []

    def message(self, message_id: str) -> Message | None:
        """A message of this attempt. Returns None if there is none of this id."""
        at = self._at.get(MessageId(message_id))
        return None if at is None else self.messages[at]

    def begin_attempt(self) -> None:
        """Forgets the messages of the attempt before; their rows stay."""
        self.messages = []
        self._at = {}

    def persona_message(
        self,
        message_id: MessageId,
        turn: int,
        parts: tuple[Part, ...],
        usage: Usage | None,
        stop: Stop | None,
    ) -> Message:
        """A new message of the persona, to be recorded."""
        return self._new(message_id, turn, Sender.PERSONA, parts, usage=usage, stop=stop)

    def agent_message(self, event: MessageEvent, turn: int) -> Message:
        """A new message of the agent, to be recorded."""
        return self._new(
            event.id,
            turn,
            Sender.AGENT,
            event.parts,
            in_reply_to=event.in_reply_to,
            replaces=event.replaces,
            deleted=event.deleted,
            adapter_seq=event.seq,
            first_byte=event.first_byte,
            last_byte=event.last_byte,
        )

    def with_receipt(self, message: Message, event: ReceiptEvent) -> Message:
        """A message of the persona with what became of it, to be recorded."""
        changed: dict[str, Any] = {"receipt": event.status, "adapter_seq": event.seq, "rev": self._next_rev()}
        match event.status:
            case ReceiptStatus.SENT:
                changed["sent"] = event.time
            case ReceiptStatus.DELIVERED:
                changed["delivered"] = event.time
            case ReceiptStatus.READ:
                changed["read"] = event.time
            case ReceiptStatus.FAILED:
                changed["fault"] = event.fault
        updated = replace(message, **changed)
        self.messages[self._at[message.id]] = updated
        return updated

    def change(self, **changes: Any) -> Session:
        """The session with some fields changed, to be recorded."""
        self.session = replace(self.session, rev=self._next_rev(), updated_at=self._now(), **changes)
        return self.session

    async def apply(self, changes: dict[str, Any]) -> Session:
        """Changes fields of the session and stores it."""
        session = self.change(**changes)
        await self.record(session=session)
        return session

    def number(self, result: EvaluationResult) -> EvaluationResult:
        """A result with its place among the session's events, to be recorded."""
        return replace(result, rev=self._next_rev())

    async def record(
        self,
        *,
        appended: Sequence[Message] = (),
        updated: Iterable[Message] = (),
        session: Session | None = None,
        raw: Sequence[RawPayload] = (),
        results: Sequence[EvaluationResult] = (),
    ) -> None:
        """Stores what was made by the methods above, all of it or none, then tells watchers.

        Raises:
            UnavailableError: The database cannot be written.
        """
        updates = tuple(updated)
        for message in (*appended, *updates):
            self._unpublished.append((message.rev, message))
        for result in results:
            self._unpublished.append((result.rev, result))
        if session is not None:
            self._unpublished.append((session.rev, session))
        await self._journal.write(JournalEntry(tuple(appended), updates, session, tuple(raw), tuple(results)))
        unpublished, self._unpublished = self._unpublished, []
        for rev, item in sorted(unpublished, key=itemgetter(0)):
            self._publish(rev, item)

    def _new(
        self, message_id: MessageId, turn: int, sender: Sender, parts: tuple[Part, ...], **fields: Any
    ) -> Message:
        self._seq += 1
        attempt = self.session.attempt
        message = Message(
            session_id=self.session.id,
            seq=self._seq,
            rev=self._next_rev(),
            id=message_id,
            attempt=attempt.number if attempt else 1,
            turn=turn,
            sender=sender,
            parts=parts,
            created_at=self._now(),
            **fields,
        )
        self._at[message_id] = len(self.messages)
        self.messages.append(message)
        return message

    def _next_rev(self) -> int:
        self._rev += 1
        return self._rev
