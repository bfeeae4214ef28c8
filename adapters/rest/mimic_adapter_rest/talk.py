"""One conversation: what the persona says becomes requests, one after another."""

import asyncio
import datetime as dt
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import aiohttp
from mimic_plugin_sdk import (
    ChoiceTaken,
    ClosedBy,
    CloseReason,
    Conversation,
    Dtmf,
    Fault,
    FaultError,
    FaultSource,
    Message,
    RawDirection,
    Send,
    Speech,
    Text,
    Unreachable,
    WireTime,
)

from mimic_adapter_rest import faults
from mimic_adapter_rest.exchange import Exchange
from mimic_adapter_rest.forms import RequestForm
from mimic_adapter_rest.link import Link, NotSentError, Request
from mimic_adapter_rest.profile import Profile, SetupForm
from mimic_adapter_rest.replies import Said
from mimic_adapter_rest.settings import MAX_TEXT_CHARS, RestSettings
from mimic_adapter_rest.streams import Heard
from mimic_adapter_rest.templates import TemplateFaultError
from mimic_adapter_rest.turns import Turns

_NAMESPACE = uuid.UUID("5d3c8f0e-1d53-4c7c-9b8e-3b7f6f0a7f55")
# Of the 5 s that the contract gives from Close to the end: for what was said last to be sent and answered.
_GRACE_SECONDS = 2.0
_ID_BYTES = 128
_ENDED = "the agent said that the conversation is over"


def conversation_id(session_id: str, attempt: int) -> str:
    """Derive the id that the agent knows a conversation by: a UUID, the same whenever it is asked for.

    Args:
        session_id: The session's id.
        attempt: The session's attempt.
    """
    return str(uuid.uuid5(_NAMESPACE, f"{session_id}/{attempt}"))


class Talk:
    """One conversation."""

    def __init__(
        self,
        conversation: Conversation[RestSettings],
        link: Link,
        profile: Profile,
        url_of: Callable[[str], str] | None,
    ) -> None:
        """Make one; `run` holds it.

        Args:
            conversation: The host's side.
            link: The agent's side.
            profile: How the agent speaks.
            url_of: Says where the callbacks of a conversation go. None: there are none.
        """
        self.id = conversation_id(conversation.session_id, conversation.attempt)
        self._conversation = conversation
        self._link = link
        self._profile = profile
        self._queue: deque[Send] = deque()
        self._arrival: asyncio.Future[None] | None = None
        self._closing = False
        self._ids: set[str] = set()
        self._cookies: dict[str, str] = {}
        self._history: list[dict[str, str]] = []
        self._saved: dict[str, Any] = dict.fromkeys(profile.remember)
        self._values: dict[str, Any] = {
            **profile.settings.variables,
            "text": "",
            "value": "",
            "choice": None,
            "message_id": "",
            "conversation_id": self.id,
            "session_id": conversation.session_id,
            "attempt": conversation.attempt,
            "persona": {
                "name": conversation.persona.display_name,
                "locale": conversation.persona.locale,
            },
            "saved": self._saved,
            "history": self._history,
            "callback_url": url_of(self.id) if url_of is not None else "",
            "stream": profile.settings.stream,
            "now": "",
        }
        self._sending: Sequence[Message] = ()
        self._label = ""
        self._body = b""
        self._last_id = ""
        self._sent_ids: set[str] = set()
        self._found: set[str] = set()
        self._turns = Turns(conversation, profile.callback)

    # --- the conversation ----------------------------------------------------------------------------------

    async def run(self) -> None:
        """Hold it to its end.

        Raises:
            FaultError: It cannot go on.
        """
        conversation = self._conversation
        resume = conversation.resume
        if resume is not None:
            told = not resume.unsettled_message_ids and not resume.answer_pending
            if not told or not self._profile.derivable:
                await self._decline()
                return
            self._sent_ids.update(resume.settled_message_ids)
        conversation.opened(self.id, resumed=resume is not None)
        reader: asyncio.Task[None] | None = None
        limit = asyncio.timeout(None)
        try:
            async with limit:
                reader = asyncio.get_running_loop().create_task(self._read(limit))
                await self._work()
        except TimeoutError:
            if not limit.expired():
                raise
        finally:
            self._turns.stop()
            if reader is not None:
                reader.cancel()
        fault = _unsent("CLOSED_BEFORE_SENT", "the conversation was closed before the message was sent")
        self._fail([*self._sending, *(send.message for send in self._queue)], fault)

    async def _decline(self) -> None:
        """Wait for the end of a conversation that another process began, and that cannot go on."""
        self._conversation.opened(self.id, resumed=False)
        async for item in self._conversation:
            if isinstance(item, Send):
                self._fail([item.message], _unsent("NOT_RESUMED", "the conversation could not be resumed"))

    async def _read(self, limit: asyncio.Timeout) -> None:
        async for item in self._conversation:
            if isinstance(item, Send):
                self._queue.append(item)
                self._wake()
        self._closing = True
        self._wake()
        loop = asyncio.get_running_loop()
        hurried = self._conversation.close_reason in {CloseReason.CANCELLED, CloseReason.ABANDONED}
        limit.reschedule(loop.time() + (0 if hurried else _GRACE_SECONDS))

    def _wake(self) -> None:
        if self._arrival is not None and not self._arrival.done():
            self._arrival.set_result(None)

    async def _work(self) -> None:
        if self._profile.setup is not None and self._conversation.resume is None:
            await self._set_up(self._profile.setup)
        joined: list[Message] = []
        while True:
            while not self._queue:
                if self._closing:
                    return
                self._arrival = asyncio.get_running_loop().create_future()
                await self._arrival
            send = self._queue.popleft()
            if (fault := _unsayable(send.message)) is not None:
                self._fail([send.message], fault)
                if send.more or not joined:
                    continue
            else:
                joined.append(send.message)
            if send.more and self._profile.settings.join_messages:
                continue
            messages, joined = joined, []
            if await self._say(messages, more=send.more):
                self._conversation.closed(ClosedBy.AGENT, _ENDED)
                self._closing = True
                return

    async def _say(self, messages: list[Message], *, more: bool) -> bool:
        """Send messages as one request, and take the answer. Returns whether the agent ended it all."""
        self._sending = messages
        last = messages[-1]
        self._last_id = last.id
        text = "\n".join(message.text for message in messages)
        values = self._values
        choice = next((part for part in last.parts if isinstance(part, ChoiceTaken)), None)
        values["text"] = text
        values["value"] = choice.choice_id if choice is not None and len(messages) == 1 else text
        values["choice"] = None if choice is None else {"id": choice.choice_id, "title": choice.title}
        values["message_id"] = last.id
        if self._profile.keeps_history:
            self._history.append({"role": "user", "text": text, "id": last.id})
        self._turns.begins(last.id, more=more)
        self._found.clear()
        exchange = Exchange(self._link, self._profile, self, values)
        try:
            request = self._filled(self._profile.message)
            self._label, self._body = request.label, request.body
            return await exchange.run(request)
        except NotSentError as error:
            if self._profile.keeps_history:
                self._history.pop()
            self._turns.fails()
            self._fail(messages, error.fault)
            return False
        finally:
            self._body = b""

    async def _set_up(self, setup: SetupForm) -> None:
        """Begin the conversation at the agent's."""
        exchange = Exchange(self._link, self._profile, self, self._values)
        try:
            request = self._filled(setup.form)
            data = await exchange.ask(request)
        except NotSentError as error:
            raise Unreachable(error.fault.message, remedy=error.fault.remedy) from None
        for name, path in setup.remember.items():
            self._saved[name] = found = path.first(data)
            if found is None:
                message = f"{request.label}: nothing at {path.source} in the answer"
                raise FaultError(faults.agent("AGENT_REPLY_MISSING", message))

    def _filled(self, form: RequestForm) -> Request:
        if self._profile.tells_time:
            now = dt.datetime.now(dt.UTC)
            self._values["now"] = now.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        try:
            request = form.fill(self._values)
        except TemplateFaultError as error:
            message = f"a template could not be filled in: {error}"
            raise NotSentError(Fault(FaultSource.ADAPTER, "TEMPLATE_FAILED", message)) from None
        if self._cookies:
            request.headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in self._cookies.items())
        return request

    def _fail(self, messages: Sequence[Message], fault: Fault) -> None:
        for message in messages:
            self._conversation.failed(message.id, fault)
        self._sending = ()

    # --- what an exchange tells ----------------------------------------------------------------------------

    @property
    def captures_raw(self) -> bool:
        """Whether the host wants payloads."""
        return self._conversation.capture_raw

    def left(self, time: WireTime) -> None:
        """Tell that the messages under way left."""
        sending, self._sending = self._sending, ()
        for message in sending:
            self._conversation.sent(message.id, time=time)
            self._sent_ids.add(message.id)
        if self.captures_raw:
            self.raw(RawDirection.TO_AGENT, self._body, self._label, time)

    async def hear(self, heard: Heard) -> None:
        """Tell what the agent answered."""
        await self._tell(heard.said, self._last_id, heard.first_byte, heard.last_byte)

    async def typing(self) -> None:
        """Tell that the agent is typing."""
        await self._conversation.typing()

    def note(self, data: Any) -> None:
        """Remember what the settings name, out of an answer."""
        for name, path in self._profile.remember.items():
            if (found := path.first(data)) is not None:
                self._saved[name] = found
                self._found.add(name)

    def note_cookies(self, response: aiohttp.ClientResponse) -> None:
        """Keep the cookies that an answer sets."""
        if not self._profile.settings.cookies:
            return
        for name, morsel in response.cookies.items():
            if morsel["max-age"] == "0":
                self._cookies.pop(name, None)
            else:
                self._cookies[name] = morsel.coded_value

    def whole(self) -> None:
        """Tell that an answer is whole."""
        for name in self._profile.remember:
            if name not in self._found:
                self._saved[name] = None
        self._turns.answered()

    def raw(
        self,
        direction: RawDirection,
        payload: bytes,
        label: str,
        time: WireTime | None = None,
        *,
        fault: Fault | None = None,
    ) -> None:
        """Tell what went over the wire."""
        self._conversation.raw(direction, payload, label=label, time=time, fault=fault)

    # --- callbacks -----------------------------------------------------------------------------------------

    async def called(self, data: Any, first: WireTime, last: WireTime) -> str:
        """Take a callback.

        Args:
            data: What the agent posted.
            first: When its first byte came.
            last: When its last byte came.

        Returns:
            The id of its last message. Empty: it had none.

        Raises:
            AnswerError: It has nothing where it should be.
            paths.DataError: It is too deep.
        """
        answer = self._profile.reader.read(data)
        message_id = ""
        for said in answer.said:
            asked = said.in_reply_to if said.in_reply_to in self._sent_ids else ""
            message_id = await self._tell(said, asked, first, last)
        if answer.typing:
            await self._conversation.typing()
        callback = self._profile.callback
        if answer.ended:
            self._conversation.closed(ClosedBy.AGENT, _ENDED)
        elif answer.said or not answer.typing:
            mark = callback.last if callback is not None else None
            self._turns.called(last=mark is not None and mark.holds(data))
        return message_id

    async def changed(self, message_id: str, data: Any, first: WireTime) -> None:
        """Take a change of an earlier message, or its deletion.

        Args:
            message_id: The message's id, as `called` returned it.
            data: What it says now. None: it was deleted.
            first: When the change came.

        Raises:
            AnswerError: It has nothing where it should be.
            paths.DataError: It is too deep.
        """
        if data is None:
            await self._conversation.delete(message_id, first_byte=first)
            return
        for said in self._profile.reader.read(data).said:
            await self._conversation.edit(message_id, said.content, first_byte=first)

    async def _tell(self, said: Said, asked: str, first: WireTime, last: WireTime) -> str:
        # An id that some agent gives to several messages is none.
        usable = said.id not in self._ids and len(said.id.encode()) <= _ID_BYTES
        message_id = await self._conversation.reply(
            said.content,
            id=said.id if usable else "",
            first_byte=first,
            last_byte=last,
            in_reply_to=asked,
        )
        self._ids.add(message_id)
        if self._profile.keeps_history:
            self._history.append({"role": "assistant", "text": said.text, "id": message_id})
        return message_id


def _unsent(reason: str, message: str) -> Fault:
    return Fault(FaultSource.MIMIC, reason, message)


def _unsayable(message: Message) -> Fault | None:
    """Say why a message cannot be sent. Returns None if it can."""
    if message.replaces:
        return faults.channel("EDIT_NOT_POSSIBLE", "over HTTP no message is changed or taken back")
    if not any(isinstance(part, Text | ChoiceTaken | Speech | Dtmf) for part in message.parts):
        return faults.channel("NOTHING_TO_SEND", "the message has no text, and no choice that was taken")
    if len(message.text) > MAX_TEXT_CHARS:
        return faults.channel("TEXT_TOO_LONG", f"the text has more than {MAX_TEXT_CHARS} characters")
    return None
