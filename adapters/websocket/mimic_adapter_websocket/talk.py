"""One conversation: its sockets, one after another, and how it ends."""

import asyncio
import uuid
from typing import Any

from mimic_plugin_sdk import (
    ClosedBy,
    Conversation,
    CredentialsRefused,
    Fault,
    FaultError,
    FaultSource,
    PersonaFace,
    RawDirection,
    Resume,
    Send,
    WireTime,
)

from mimic_adapter_websocket import faults
from mimic_adapter_websocket.frames import understand
from mimic_adapter_websocket.hearing import Hearing
from mimic_adapter_websocket.hello import Greeter
from mimic_adapter_websocket.link import Link, Socket, SocketBroken, SocketClosed, SocketLost
from mimic_adapter_websocket.profile import Again, Profile
from mimic_adapter_websocket.saying import Saying, SendUnknownError
from mimic_adapter_websocket.settings import Closing, Ping, WebSocketSettings
from mimic_adapter_websocket.templates import TemplateFaultError
from mimic_adapter_websocket.turns import Turns

_NAMESPACE = uuid.UUID("a3f1c7de-6a55-4b5e-9c39-0d2c6b1f8e12")
_LONGEST_PAUSE_SECONDS = 5.0
_FRAMES_AT_ONCE = 32
"""So many frames that are there already are taken before other conversations have their turn."""
_ENDED = "the agent said that the conversation is over"


class NotResumedError(Exception):
    """The agent does not know the conversation any more."""


def first_values(
    settings: WebSocketSettings, session_id: str, attempt: int, face: PersonaFace
) -> dict[str, Any]:
    """Return the values that templates have before anything was said.

    The conversation's id follows from the session's and the attempt, so that another process finds it again.

    Args:
        settings: The connection's settings.
        session_id: The session's id.
        attempt: The session's attempt.
        face: What the agent may see of the persona.
    """
    return {
        **settings.variables,
        "text": "",
        "value": "",
        "choice": None,
        "more": False,
        "message_id": "",
        "number": 0,
        "read_id": "",
        "conversation_id": str(uuid.uuid5(_NAMESPACE, f"{session_id}/{attempt}")),
        "session_id": session_id,
        "attempt": attempt,
        "persona": {"name": face.display_name, "locale": face.locale},
        "saved": {},
        "last_id": None,
        "secrets": {name: secret.get_secret_value() for name, secret in settings.secrets.items()},
        "frame": None,
    }


class Talk:
    """One conversation."""

    def __init__(self, conversation: Conversation[WebSocketSettings], link: Link, profile: Profile) -> None:
        """Make one; `run` holds it.

        Args:
            conversation: The host's side.
            link: The agent's side.
            profile: How the agent speaks.
        """
        settings = profile.settings
        self._conversation = conversation
        self._link = link
        self._profile = profile
        self._settings = settings
        self._values = first_values(
            settings, conversation.session_id, conversation.attempt, conversation.persona
        )
        self._turns = turns = Turns(conversation, for_each_message=settings.done_for == "message")
        self._hearing = Hearing(conversation, profile, link.excerpts, self._values, turns)
        self._saying = Saying(conversation, profile, self._values, turns, self._hearing)
        self._over = False
        self._leaving = False

    async def run(self) -> None:
        """Hold it to its end.

        Raises:
            FaultError: It cannot begin, or it is not known whether a message left.
        """
        resume = self._conversation.resume
        try:
            socket = await self._begin(resume)
        except NotResumedError:
            await self._decline()
            return
        self._saying.socket = socket
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._listen(socket))]
                if self._settings.ping is not None:
                    tasks.append(group.create_task(self._ping(self._settings.ping)))
                if resume is None:
                    await self._await_greeting()
                self._hearing.opens(resumed=resume is not None)
                async for item in self._conversation:
                    await self._saying.take(item)
                await self._leave()
                for task in tasks:
                    task.cancel()
        finally:
            if self._saying.socket is not None:
                self._saying.socket.drop()

    async def _begin(self, resume: Resume | None) -> Socket:
        if resume is not None and not self._may_resume(resume):
            raise NotResumedError
        try:
            return await self._connect(self._profile.again if resume is not None else None)
        except FaultError:
            if self._conversation.capture_raw:
                self._hearing.opens()
            raise

    def _may_resume(self, resume: Resume) -> bool:
        again = self._profile.again
        told = not resume.unsettled_message_ids and not resume.answer_pending
        return told and again is not None and again.derivable

    async def _decline(self) -> None:
        """Wait for the end of a conversation that another process began, and that cannot go on."""
        self._conversation.opened(self._values["conversation_id"], resumed=False)
        async for item in self._conversation:
            if isinstance(item, Send):
                message = "the conversation could not be resumed"
                fault = Fault(FaultSource.MIMIC, "NOT_RESUMED", message)
                self._conversation.failed(item.message.id, fault)

    async def _await_greeting(self) -> None:
        if self._settings.greeting_seconds:
            try:
                async with asyncio.timeout(self._settings.greeting_seconds):
                    await self._hearing.spoke.wait()
            except TimeoutError:
                return

    async def _leave(self) -> None:
        """Close the socket, while the other task still reads from it what the agent says meanwhile."""
        saying = self._saying
        saying.stop()
        message = "the conversation was closed before the message was sent"
        saying.fail(Fault(FaultSource.MIMIC, "CLOSED_BEFORE_SENT", message))
        self._leaving = True
        if (socket := saying.socket) is not None:
            if not self._over:
                await saying.post(self._profile.bye)
            await socket.close()

    def _fail(self, fault: Fault) -> None:
        """End the conversation by a fault."""
        self._saying.fail(fault)
        by = ClosedBy.AGENT if fault.source is FaultSource.AGENT else ClosedBy.PLATFORM
        self._end(by, fault.message, fault)

    def _end(self, by: ClosedBy, reason: str, fault: Fault | None = None) -> None:
        if not self._over and not self._leaving:
            self._over = True
            self._hearing.opens()
            self._hearing.spoke.set()
            self._conversation.closed(by, reason, fault=fault)

    # --- sockets -------------------------------------------------------------------------------------------

    async def _connect(self, again: Again | None) -> Socket:
        """Open a socket, and say hello.

        Args:
            again: How the conversation goes on. None: it begins.

        Raises:
            FaultError: There is none.
            NotResumedError: The agent does not know the conversation any more.
        """
        profile = self._profile
        try:
            handshake = profile.handshake.fill(self._values, again=again is not None)
        except TemplateFaultError as error:
            message = f"the address could not be filled in: {error}"
            raise FaultError(faults.channel("TEMPLATE_FAILED", message)) from None
        if self._conversation.capture_raw:
            self._hearing.raw(RawDirection.TO_AGENT, handshake.text, label="handshake")
        socket = await self._link.open(handshake)
        try:
            greeter = Greeter(profile, self._link.excerpts)
            steps = profile.hello if again is None else again.hello
            if again is not None:
                self._hearing.hold()
            found = await greeter.greet(socket, steps, self._values, self._hearing)
        except BaseException as error:
            if isinstance(error, FaultError):
                self._link.failed(error)
            await socket.close()
            raise
        self._link.well()
        if again is not None and again.resumed is not None and not again.resumed.holds(found):
            await socket.close()
            raise NotResumedError
        return socket

    async def _listen(self, socket: Socket) -> None:
        """Take frames until the conversation is over, over as many sockets as that takes."""
        try:
            await self._hearing.release()
            while (lost := await self._read_to_end(socket)) is not None:
                if self._over or self._leaving:
                    return
                self._saying.socket = None
                socket.drop()
                self._saying.socket = socket = await self._reconnect(lost)
                self._turns.forgive()
                await self._hearing.release()
                await self._saying.flush()
        except SendUnknownError:
            raise
        except FaultError as error:
            self._fail(error.fault)

    async def _read_to_end(self, socket: Socket) -> Fault | None:
        """Take frames until the socket ends. Returns why, where the conversation is not over with it.

        Raises:
            FaultError: The conversation is over by a fault.
        """
        try:
            await self._read(socket)
        except SocketLost as error:
            return faults.channel("CONNECTION_LOST", f"the connection to the agent was lost: {error}")
        except SocketBroken as error:
            self._hearing.raw(RawDirection.FROM_AGENT, "", fault=error.fault)
            raise FaultError(error.fault) from None
        except SocketClosed as error:
            meaning = self._profile.closings.get(error.code, Closing.AGENT)
            reason = self._link.excerpts.cut(error.reason)
            fault = faults.closed(error.code, reason, meaning)
            if meaning is Closing.LOST:
                return fault
            if fault is not None:
                raise FaultError(fault) from None
            await self._hearing.finish(WireTime.now())
            self._end(ClosedBy.AGENT, faults.told(error.code, reason))
        return None

    async def _read(self, socket: Socket) -> None:
        hearing, saying = self._hearing, self._saying
        taken = 0
        while not hearing.ended:
            payload, at = await socket.receive()
            await saying.written.wait()
            meaning = understand(self._profile, payload, self._values)
            fault = None
            if meaning.reason:
                fault = faults.of_frame(meaning.reason, self._link.excerpts.cut(meaning.problem))
            hearing.raw(RawDirection.FROM_AGENT, payload, at, label=meaning.kind, fault=fault)
            if fault is not None and self._settings.strict:
                raise FaultError(fault)
            for answer in meaning.answers:
                await saying.write(socket, answer, "answer")
            await hearing.hear(socket, meaning, at)
            if saying.waits:
                await saying.flush()
            taken += 1
            if not taken % _FRAMES_AT_ONCE:
                await asyncio.sleep(0)
        self._end(ClosedBy.AGENT, _ENDED)

    async def _reconnect(self, lost: Fault) -> Socket:
        """Open another socket for the conversation.

        Args:
            lost: What became of the one before.

        Raises:
            FaultError: That is not possible.
        """
        again = self._profile.again
        if again is None:
            raise FaultError(lost)
        if not self._hearing.sign:
            # The agent may not have it, and its silence would be held against it.
            message = f"{lost.message}; it is not known whether the last message had reached the agent"
            raise FaultError(faults.channel("SEND_UNKNOWN", message))
        loop = asyncio.get_running_loop()
        until = loop.time() + again.settings.within_seconds
        pause = again.settings.backoff_seconds
        while True:
            try:
                return await self._connect(again)
            except NotResumedError:
                message = f"{lost.message}; the agent knew the conversation no more"
                raise FaultError(faults.channel("NOT_RESUMED", message)) from None
            except CredentialsRefused:
                raise
            except FaultError:
                if loop.time() + pause > until:
                    raise
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)

    async def _ping(self, ping: Ping) -> None:
        while True:
            await asyncio.sleep(ping.interval_seconds)
            await self._saying.post(self._profile.ping)
