"""Tells the host what the agent's frames say."""

import asyncio
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from mimic_plugin_sdk import Conversation, Fault, FaultError, RawDirection, WireTime

from mimic_adapter_websocket import faults
from mimic_adapter_websocket.drafts import Drafts, Heard, Rule, TooLongError
from mimic_adapter_websocket.frames import Meaning
from mimic_adapter_websocket.link import Socket
from mimic_adapter_websocket.paths import DataError
from mimic_adapter_websocket.profile import Profile
from mimic_adapter_websocket.replies import MissingError, word, written
from mimic_adapter_websocket.settings import WebSocketSettings
from mimic_adapter_websocket.turns import Turns

_logger = logging.getLogger("mimic_adapter_websocket")

_ID_BYTES = 128
_TYPING_NANOS = 500_000_000
"""Typing is told at most so often: it only keeps the host from taking the turn for over."""
_KEPT_RAW = 200
_DAY_MS = 86_400_000


class Hearing:
    """One conversation's side towards the host: what came from the agent goes there."""

    def __init__(
        self,
        conversation: Conversation[WebSocketSettings],
        profile: Profile,
        excerpts: faults.Excerpts,
        values: dict[str, Any],
        turns: Turns,
    ) -> None:
        """Make it.

        Args:
            conversation: The host's side.
            profile: How the agent speaks.
            excerpts: Cuts what the agent said.
            values: Values for templates; what is remembered is put there.
            turns: Which turns are not over.
        """
        self._conversation = conversation
        self._profile = profile
        self._excerpts = excerpts
        self._values = values
        self._turns = turns
        self._last_id = profile.again.last_id if profile.again is not None else None
        self._drafts = Drafts(profile.reader, profile.settings.max_message_bytes)
        self._told: dict[str, int] = {}
        self._typed = 0
        self._named: set[str] = set()
        self._kept_raw: list[tuple[RawDirection, str | bytes, WireTime, str, Fault | None]] = []
        self._opened = False
        self._resumed = False
        self._unacknowledged: dict[str, str] = {}
        self._held: list[tuple[str, Rule, Any, WireTime]] | None = None
        self._acks = any(rule is not None and rule.ack is not None for rule in profile.rules.values())
        self.spoke = asyncio.Event()
        """Set once the agent has said something."""
        self.sign = True
        """The agent has said or done something since the last message of the persona left."""
        self.ended = False
        """The agent said that the conversation is over."""

    def opens(self, *, resumed: bool = False) -> None:
        """Tell the host that the conversation is ready, with what went over the wire so far; once.

        Args:
            resumed: It is the one that the host asked to go on with.
        """
        if self._opened:
            return
        self._opened = True
        self._conversation.opened(self._values["conversation_id"], resumed=resumed)
        for direction, payload, time, label, fault in self._kept_raw:
            self._conversation.raw(direction, payload, time=time, label=label, fault=fault)
        self._kept_raw.clear()

    def raw(
        self,
        direction: RawDirection,
        payload: str | bytes,
        time: WireTime | None = None,
        *,
        label: str = "",
        fault: Fault | None = None,
    ) -> None:
        """Tell what went over the wire, and log what was wrong with it.

        Args:
            direction: Which way it went.
            payload: The frame.
            time: When it went. None: now.
            label: What it was.
            fault: What was wrong with it. None: nothing.
        """
        if fault is not None:
            self._log(fault)
        if not self._conversation.capture_raw:
            return
        if self._opened:
            self._conversation.raw(direction, payload, time=time, label=label, fault=fault)
        elif len(self._kept_raw) < _KEPT_RAW:
            self._kept_raw.append((direction, payload, time or WireTime.now(), label, fault))

    def _log(self, fault: Fault) -> None:
        if fault.reason not in self._named:
            self._named.add(fault.reason)
            _logger.warning("%s; further ones of this conversation are not named", fault.message)

    # --- frames --------------------------------------------------------------------------------------------

    async def hear(self, socket: Socket, meaning: Meaning, at: WireTime) -> None:
        """Tell what a frame says.

        Args:
            socket: Where it came from.
            meaning: The frame.
            at: When it came.

        Raises:
            FaultError: It is an error of the agent's, or the conversation cannot go on after it.
        """
        rule = meaning.rule
        if rule is None or (rule.means_nothing and self._last_id is None):
            return
        with self._judging(meaning.kind, at):
            self._note(socket, rule, meaning.data)
            if self._held is not None:
                self._held.append((meaning.kind, rule, meaning.data, at))
            else:
                await self._hear(rule, meaning.data, at)

    @contextmanager
    def _judging(self, kind: str, at: WireTime) -> Iterator[None]:
        try:
            yield
        except MissingError as error:
            fault = faults.agent("AGENT_REPLY_MISSING", self._excerpts.cut(str(error)))
            if self._profile.settings.strict:
                raise FaultError(fault) from None
            self.raw(RawDirection.FROM_AGENT, "", at, label=kind, fault=fault)
        except DataError as error:
            message = f"a frame is too deep: {error}"
            raise FaultError(faults.agent("AGENT_FRAME_UNREADABLE", message)) from None
        except TooLongError as error:
            raise FaultError(faults.agent("AGENT_MESSAGE_TOO_LARGE", str(error))) from None

    def _note(self, socket: Socket, rule: Rule, data: Any) -> None:
        if rule.error is not None and (error := rule.error.telling(data)) is not None:
            said = self._excerpts.cut(written(error))
            raise FaultError(faults.agent("AGENT_ERROR", f"the agent sent an error: {said}"))
        if not rule.means_nothing:
            self.sign = True
        for name, path in rule.remember.items():
            if (found := path.first(data)) is not None:
                self._values["saved"][name] = found
        if rule.silence_ms is not None:
            numbers = [number for number in rule.silence_ms.all(data) if isinstance(number, int | float)]
            socket.silence_seconds = max(0, min(sum(numbers), _DAY_MS)) / 1000

    async def _hear(self, rule: Rule, data: Any, at: WireTime) -> None:
        if rule.says:
            await self._tell(self._drafts.take(rule, data, at))
        if rule.delta is not None or (rule.typing is not None and rule.typing.holds(data)):
            await self._tell_typing(at)
        if rule.deleted is not None and (key := word(rule.deleted, data)) in self._told:
            await self._conversation.delete(key, first_byte=at)
        if rule.ack is not None:
            self._acknowledge(word(rule.ack, data), at)
        if self._last_id is not None and (last := self._last_id.first(data)) is not None:
            self._values["last_id"] = last
        if rule.done is not None and rule.done.holds(data):
            await self.finish(at)
            self._turns.over()
        if rule.ended is not None and rule.ended.holds(data):
            await self.finish(at)
            self.ended = True

    async def finish(self, at: WireTime) -> None:
        """Take what the agent has begun to say for whole: it says nothing more.

        Args:
            at: When that became clear.
        """
        await self._tell(self._drafts.finish(at))

    def hold(self) -> None:
        """Tell nothing until `release`: it is not sure yet that the agent goes on with this conversation."""
        self._drafts.clear()
        self._held = []

    async def release(self) -> None:
        """Tell what came since `hold`: the agent goes on with this conversation."""
        held, self._held = self._held or (), None
        for kind, rule, data, at in held:
            with self._judging(kind, at):
                await self._hear(rule, data, at)

    def left(self, message_ids: Sequence[str], number: int) -> None:
        """Note that messages were sent as one.

        Args:
            message_ids: Their ids.
            number: The number that they have for templates.
        """
        self.sign = False
        if self._acks:
            for message_id in message_ids:
                self._unacknowledged[message_id] = message_id
            self._unacknowledged[str(number)] = message_ids[-1]

    # --- what is told --------------------------------------------------------------------------------------

    async def _tell(self, messages: Sequence[Heard]) -> None:
        for heard in messages:
            await self._tell_one(heard)

    async def _tell_one(self, heard: Heard) -> None:
        said, conversation = heard.said, self._conversation
        self.opens()
        self.spoke.set()
        self._turns.answered(said.in_reply_to)
        key = said.id if len(said.id) <= _ID_BYTES and len(said.id.encode()) <= _ID_BYTES else ""
        first, last = heard.first_byte, heard.last_byte
        replaces = said.replaces if said.replaces in self._told else ""
        edit_id = key if replaces else ""
        if key:
            content = hash(said.content)
            if (known := self._told.get(key)) is not None:
                if known == content:
                    return  # said again, as after a resume
                replaces, edit_id = key, ""
            self._told[key] = content
        if replaces:
            await conversation.edit(replaces, said.content, id=edit_id, first_byte=first, last_byte=last)
            return
        answered = said.in_reply_to[:_ID_BYTES]
        await conversation.reply(said.content, id=key, first_byte=first, last_byte=last, in_reply_to=answered)

    async def _tell_typing(self, at: WireTime) -> None:
        if self._opened and at.monotonic_nanos - self._typed >= _TYPING_NANOS:
            self._typed = at.monotonic_nanos
            await self._conversation.typing()

    def _acknowledge(self, key: str, at: WireTime) -> None:
        message_id = self._unacknowledged.pop(key, None)
        if message_id is not None:
            self._conversation.delivered(message_id, time=at)
