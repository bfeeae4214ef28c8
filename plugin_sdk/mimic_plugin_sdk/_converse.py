"""The Converse call: brings streams and sessions together, and moves frames between them."""

import asyncio
import logging
import os
from collections.abc import Callable, Sequence
from typing import Any

from google.protobuf.message import DecodeError
from grpc import StatusCode
from grpc.aio import EOF
from mimic.adapter.v1 import conversation_pb2 as pb

from mimic_plugin_sdk import _convert_event
from mimic_plugin_sdk._adapter import Adapter
from mimic_plugin_sdk._connection import Connection
from mimic_plugin_sdk._items import CloseReason
from mimic_plugin_sdk._session import Session
from mimic_plugin_sdk._status import Failure, abort, failure_of, refused

_logger = logging.getLogger("mimic_plugin_sdk")

_PARSE = pb.ConverseRequest.FromString
# A call that was cancelled ends its reading like a half-close, and is told to be cancelled a moment later.
_CANCEL_FOLLOWS_SECONDS = 0.1
# A host that resumes at once may be faster than the end of its old stream.
_DETACH_SECONDS = 2.0
_RETRY_SECONDS = 1


class Sessions:
    """The sessions of this process, by id, those that are over but not yet forgotten among them."""

    def __init__(self, adapter: Adapter[Any], find: Callable[[str], Connection[Any] | None]) -> None:
        """Begin with none.

        Args:
            adapter: The author's adapter.
            find: Gives the connection of an id; None where there is none.
        """
        self._adapter = adapter
        self._find = find
        self._sessions: dict[str, Session] = {}
        self.epoch = os.urandom(16).hex()
        """Random id of this process."""

    def get(self, session_id: str) -> Session | None:
        """Return a session. Returns None when it is unknown or forgotten."""
        return self._sessions.get(session_id)

    def open(self) -> list[Session]:
        """Return the sessions that are not over."""
        return [session for session in self._sessions.values() if not session.ended]

    async def over(self) -> None:
        """Wait until no session is open."""
        for session in self.open():
            await session.finished()

    async def stop(self, failure: Failure, connection: Connection[Any] | None = None) -> None:
        """End sessions, and wait until their authors' coroutines are over.

        Args:
            failure: How their streams end.
            connection: Only those of this connection. None: all.
        """
        stopped = [one for one in self.open() if connection is None or one.connection is connection]
        for session in stopped:
            session.stop(failure)
        for session in stopped:
            await session.finished()

    async def attach(self, asked: pb.Open) -> Session | Failure | None:
        """Find or make the session of an Open, with its stream attached.

        Args:
            asked: The Open.

        Returns:
            The session; or why there is none; or None when it cannot be resumed.
        """
        if not asked.session_id:
            return refused(StatusCode.INVALID_ARGUMENT, "SESSION_ID_MISSING", "Open has no session_id")
        session = self._sessions.get(asked.session_id)
        resume = asked.resume if asked.HasField("resume") else None
        if session is not None and session.attached:
            if resume is None or not await session.detached(_DETACH_SECONDS):
                text = f"session {asked.session_id} is open on another stream"
                return refused(StatusCode.ALREADY_EXISTS, "SESSION_OPEN", text)
            return await self.attach(asked)
        if resume is not None and resume.epoch == self.epoch:
            return self._resumed(session, asked)
        if session is not None:
            # The host knows nothing of it: it begins anew, or with another attempt.
            await self._discard(session)
            return await self.attach(asked)
        return self._begun(asked)

    def _resumed(self, session: Session | None, asked: pb.Open) -> Session | None:
        if session is None or session.attempt != asked.attempt:
            return None
        session.attach()
        if not session.resume_from(asked.resume.last_seq):
            session.detach()
            return None
        if not self._adapter.manifest.capabilities.idempotent_send:
            session.fail_unseen(list(asked.resume.unsettled_message_ids))
        return session

    def _begun(self, asked: pb.Open) -> Session | Failure:
        connection = self._find(asked.connection_id)
        if connection is None:
            text = f"connection {asked.connection_id!r} was not brought up; call Connect first"
            return refused(StatusCode.NOT_FOUND, "CONNECTION_UNKNOWN", text)
        most = self._adapter.manifest.capabilities.max_concurrent_sessions
        if most and len(self.open()) >= most:
            text = f"the adapter holds {most} sessions at once, and that many are open"
            return refused(
                StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_SESSIONS", text, retry_after_seconds=_RETRY_SECONDS
            )
        session = Session(asked, connection, self._adapter, self.epoch, self._gone)
        self._sessions[asked.session_id] = session
        session.attach()
        session.start()
        return session

    async def _discard(self, session: Session) -> None:
        session.stop(refused(StatusCode.ABORTED, "REPLACED", "the session was begun anew"))
        await session.finished()
        self._gone(session)

    def _gone(self, session: Session) -> None:
        if self._sessions.get(session.session_id) is session:
            del self._sessions[session.session_id]


class Stream:
    """One Converse call."""

    def __init__(self, sessions: Sessions, context: Any) -> None:
        """Make one; `run` serves it.

        Args:
            sessions: The sessions of this process.
            context: The call's grpc.aio.ServicerContext.
        """
        self._sessions = sessions
        self._context = context

    async def run(self) -> None:
        """Serve the call to its end."""
        data = await self._context.read()
        if data is EOF:
            await abort(self._context, _not_opened("the stream ended before its first item"))
        try:
            first = _PARSE(data)
        except DecodeError:
            await abort(self._context, _malformed())
        if not first.items or first.items[0].WhichOneof("item") != "open":
            await abort(self._context, _not_opened("the first item is not Open"))
        session = await self._sessions.attach(first.items[0].open)
        if session is None:
            await self._decline()
        elif isinstance(session, Failure):
            await abort(self._context, session)
        else:
            await self._serve(session, first)

    async def _decline(self) -> None:
        """Answer a resume of something forgotten; the host is to end the attempt."""
        await self._context.write(_convert_event.opened_frame(self._sessions.epoch, "", resumed=False))
        while (data := await self._context.read()) is not EOF:
            if any(item.WhichOneof("item") == "close" for item in _PARSE(data).items):
                break
        await self._context.write(_convert_event.closed_event(1, None, "", None))

    async def _serve(self, session: Session, first: pb.ConverseRequest) -> None:
        reader = asyncio.get_running_loop().create_task(self._read_all(session, first))
        write = self._context.write
        outbox = session.outbox
        try:
            while True:
                frame = outbox.take()
                if frame:
                    await write(frame)
                elif outbox.ended:
                    break
                else:
                    await outbox.something()
        finally:
            reader.cancel()
            session.detach()
        if session.failure is not None:
            await abort(self._context, session.failure)

    async def _read_all(self, session: Session, first: pb.ConverseRequest) -> None:
        try:
            failure = await self._read_frames(session, first)
        except Exception as error:  # noqa: BLE001 - whatever it is, the session must not wait for ever
            failure = failure_of(error, "reading the stream")
        if failure is not None:
            session.stop(failure)

    async def _read_frames(self, session: Session, first: pb.ConverseRequest) -> Failure | None:
        """Move the host's frames to the session. Returns why not, or None when the host has said its last."""
        read = self._context.read
        outbox = session.outbox
        if failure := _taken(session, first.items[1:]):
            return failure
        while (data := await read()) is not EOF:
            try:
                frame = _PARSE(data)
            except DecodeError:
                return _malformed()
            ack = frame.ack
            if ack:
                outbox.ack(ack)
            if failure := _taken(session, frame.items):
                return failure
        await asyncio.sleep(_CANCEL_FOLLOWS_SECONDS)
        session.close(CloseReason.NOT_TOLD)
        return None


def _taken(session: Session, items: Sequence[pb.HostItem]) -> Failure | None:
    """Let a session take items in order, up to one that breaks the contract."""
    # An index costs a third of what beginning to iterate does, and most frames have one item.
    if len(items) == 1:
        return session.take(items[0])
    return next(filter(None, map(session.take, items)), None)


def _malformed() -> Failure:
    return refused(StatusCode.INVALID_ARGUMENT, "FRAME_MALFORMED", "the frame is not a ConverseRequest")


def _not_opened(text: str) -> Failure:
    return refused(StatusCode.INVALID_ARGUMENT, "NOT_OPENED", text)
