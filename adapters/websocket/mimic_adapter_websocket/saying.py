"""What the persona says, on its way to the agent."""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any

from mimic_plugin_sdk import (
    ChoiceTaken,
    Conversation,
    Dtmf,
    Fault,
    FaultError,
    Message,
    PersonaTyping,
    RawDirection,
    Read,
    Send,
    Speech,
    Text,
    WireTime,
)

from mimic_adapter_websocket import faults
from mimic_adapter_websocket.hearing import Hearing
from mimic_adapter_websocket.link import NotWrittenError, Socket, SocketLost
from mimic_adapter_websocket.profile import Profile
from mimic_adapter_websocket.settings import MAX_TEXT_CHARS, WebSocketSettings
from mimic_adapter_websocket.templates import Filled, TemplateFaultError
from mimic_adapter_websocket.turns import Turns


class SendUnknownError(FaultError):
    """It is not known whether a message left: neither SENT nor FAILED would be true, so the call ends."""

    def __init__(self, error: Exception) -> None:
        """Say why.

        Args:
            error: What happened while it was written.
        """
        message = f"it is not known whether a message reached the agent: {error}".rstrip(": ")
        super().__init__(faults.channel("SEND_UNKNOWN", message))


class Saying:
    """One conversation's side towards the agent: each message leaves once, or not at all."""

    def __init__(
        self,
        conversation: Conversation[WebSocketSettings],
        profile: Profile,
        values: dict[str, Any],
        turns: Turns,
        hearing: Hearing,
    ) -> None:
        """Make it.

        Args:
            conversation: The host's side.
            profile: How the agent speaks.
            values: Values for templates.
            turns: Which turns are not over.
            hearing: The other direction.
        """
        self._conversation = conversation
        self._profile = profile
        self._settings = profile.settings
        self._values = values
        self._turns = turns
        self._hearing = hearing
        self._queue: deque[Send] = deque()
        self._number = 0
        self._flushing = False
        self._giving_up: asyncio.TimerHandle | None = None
        self.socket: Socket | None = None
        """Where frames go. None: nowhere at present; messages wait."""
        self.written = asyncio.Event()
        """Cleared while a message leaves: the answer to it must not overtake its receipt."""
        self.written.set()

    @property
    def waits(self) -> bool:
        """Whether messages wait."""
        return bool(self._queue)

    async def take(self, item: Send | PersonaTyping | Read) -> None:
        """Take what the host says.

        Args:
            item: What it is.

        Raises:
            SendUnknownError: It is not known whether a message left.
        """
        if isinstance(item, Send):
            self._put(item)
            await self.flush()
        elif isinstance(item, Read):
            self._values["read_id"] = item.message_id
            await self.post(self._profile.mark_read)
        else:
            await self.post(self._profile.typing)

    def _put(self, send: Send) -> None:
        fault = _unsayable(send.message)
        if fault is None:
            self._queue.append(send)
            return
        self._conversation.failed(send.message.id, fault)
        if self._queue and not send.more:
            # What it was to be joined to leaves without it.
            self._queue.append(Send(self._queue.pop().message, more=False))

    async def flush(self) -> None:
        """Send what can be sent now.

        Raises:
            SendUnknownError: It is not known whether a message left.
        """
        if self._flushing:
            return
        self._flushing = True
        try:
            while (socket := self.socket) is not None and (batch := self._next()):
                await self._say(socket, batch)
        finally:
            self._flushing = False

    def _next(self) -> list[Send]:
        """Return the messages that leave next, as one. Returns none where that has to wait."""
        if not self._queue:
            return []
        if self._settings.one_at_a_time and self._turns.busy:
            if self._giving_up is None:
                loop = asyncio.get_running_loop()
                self._giving_up = loop.call_later(self._settings.timeout_seconds, self._give_up)
            return []
        self.stop()
        if not self._settings.join_messages:
            return [self._queue.popleft()]
        count = next((index for index, send in enumerate(self._queue, 1) if not send.more), 0)
        return [self._queue.popleft() for _ in range(count)]

    def _give_up(self) -> None:
        self._giving_up = None
        seconds = self._settings.timeout_seconds
        message = f"the agent did not end its turn within {seconds:g} s"
        self.fail(faults.agent("AGENT_BUSY", message, "`timeout_seconds` says how long it is waited for"))

    def stop(self) -> None:
        """Wait for the end of the agent's turn no more."""
        if self._giving_up is not None:
            self._giving_up.cancel()
            self._giving_up = None

    def fail(self, fault: Fault) -> None:
        """Tell that what waits is not sent.

        Args:
            fault: Why.
        """
        while self._queue:
            self._conversation.failed(self._queue.popleft().message.id, fault)

    async def _say(self, socket: Socket, batch: Sequence[Send]) -> None:
        messages, more = [send.message for send in batch], batch[-1].more
        try:
            frames = self._filled(messages, more=more)
        except TemplateFaultError as error:
            fault = faults.channel("TEMPLATE_FAILED", f"`send` could not be filled in: {error}")
            for message in messages:
                self._conversation.failed(message.id, fault)
            return
        begun = False
        self.written.clear()
        try:
            for frame in frames:
                await socket.send(frame)
                begun = True
                self._hearing.raw(RawDirection.TO_AGENT, frame, label="message")
        except NotWrittenError as error:
            self.socket = None
            if begun:
                socket.drop()
                raise SendUnknownError(error) from None
            self._queue.extendleft(reversed(batch))
            return
        except SocketLost as error:
            self.socket = None
            socket.drop()
            raise SendUnknownError(error) from None
        finally:
            self.written.set()
        at = WireTime.now()
        for message in messages:
            self._conversation.sent(message.id, time=at)
        self._hearing.left([message.id for message in messages], self._number)
        self._turns.said(messages[-1].id, more=more)
        self._number += 1

    def _filled(self, messages: Sequence[Message], *, more: bool) -> list[str]:
        values, last = self._values, messages[-1]
        text = last.text if len(messages) == 1 else "\n".join(message.text for message in messages)
        choice = next((part for part in last.parts if isinstance(part, ChoiceTaken)), None)
        values["text"] = text
        values["value"] = choice.choice_id if choice is not None and len(messages) == 1 else text
        values["choice"] = None if choice is None else {"id": choice.choice_id, "title": choice.title}
        values["message_id"] = last.id
        values["more"] = more
        values["number"] = self._number
        return [frame for template in self._profile.send if (frame := template.fill(values)).strip()]

    async def post(self, template: Filled | None) -> None:
        """Send what nobody waits for.

        Args:
            template: The frame. None: nothing is sent.
        """
        if template is None or self.socket is None:
            return
        try:
            text = template.fill(self._values)
        except TemplateFaultError as error:
            fault = faults.channel("TEMPLATE_FAILED", f"a template could not be filled in: {error}")
            self._hearing.raw(RawDirection.TO_AGENT, "", fault=fault)
            return
        if text.strip():
            await self.write(self.socket, text)

    async def write(self, socket: Socket, text: str, label: str = "") -> None:
        """Write a frame that nobody waits for.

        Args:
            socket: Where to.
            text: The frame.
            label: What it is, for people.
        """
        try:
            await socket.send(text)
        except (NotWrittenError, SocketLost):
            return  # whoever reads from it sees that too
        self._hearing.raw(RawDirection.TO_AGENT, text, label=label)


def _unsayable(message: Message) -> Fault | None:
    """Say why a message cannot be sent. Returns None if it can."""
    if message.replaces:
        return faults.channel("EDIT_NOT_POSSIBLE", "no template says how a message is changed or taken back")
    if not any(isinstance(part, Text | ChoiceTaken | Speech | Dtmf) for part in message.parts):
        return faults.channel("NOTHING_TO_SEND", "the message has no text, and no choice that was taken")
    if len(message.text) > MAX_TEXT_CHARS:
        return faults.channel("TEXT_TOO_LONG", f"the text has more than {MAX_TEXT_CHARS} characters")
    return None
