"""Adapters for the tests of the SDK, each for one thing: `python -m tests.plugin_sdk.adapters <name>`."""

import asyncio
import ctypes
import logging
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from typing import Any

from mimic_plugin_sdk import (
    Adapter,
    AgentSetting,
    Capabilities,
    ClosedBy,
    Connection,
    ConnectionState,
    ConnectionStatus,
    Conversation,
    CredentialsRefused,
    Fault,
    FaultError,
    FaultSource,
    Manifest,
    Media,
    MediaKind,
    Mode,
    PersonaTyping,
    RawDirection,
    Read,
    Send,
    SettingsError,
    SettingsViolation,
    Unreachable,
    _serve,
    _session,
    _stdout,
    serve,
)
from pydantic import BaseModel, Field, SecretStr, field_validator

_logger = logging.getLogger("probe")


class Settings(BaseModel):
    token: SecretStr = SecretStr("")
    url: str = "http://127.0.0.1"
    retries: int = Field(default=0, ge=0)
    nested: dict[str, SecretStr] = {}

    @field_validator("token")
    @classmethod
    def _check(cls, token: SecretStr) -> SecretStr:
        if token.get_secret_value().startswith("bad"):
            raise ValueError(f"the token {token.get_secret_value()} is bad")
        return token


def manifest(**capabilities: Any) -> Manifest:
    return Manifest(
        name="mimic-adapter-probe",
        version="1.2.3",
        channel="probe",
        description="Probes the SDK.",
        modes=(Mode.LIVE, Mode.EMULATOR),
        capabilities=Capabilities(turn_complete=True, **capabilities),
    )


class Echo(Adapter[Settings]):
    """Says what it is told."""

    manifest = manifest()

    async def converse(self, conversation: Conversation[Settings]) -> None:
        async for item in conversation:
            if isinstance(item, Send):
                conversation.sent(item.message.id)
                await conversation.reply(item.message.text)
                conversation.turn_complete()


class Pair(Echo):
    """Holds two sessions and no more."""

    manifest = manifest(max_concurrent_sessions=2)


class Faces(Echo):
    """Tells what it was told of the persona, and ends by a name of its own."""

    async def converse(self, conversation: Conversation[Settings]) -> None:
        conversation.opened("chat-1")
        face = conversation.persona
        seen = [face.display_name, face.locale, conversation.attempt, conversation.seed]
        await conversation.reply(f"{seen} {conversation.connection.mode.name}")
        kinds = [type(item).__name__ async for item in conversation]
        _logger.info("closed: %s after %s", conversation.close_reason, kinds)


class Parts(Echo):
    """Sends back every part as it came, then edits and deletes."""

    async def converse(self, conversation: Conversation[Settings]) -> None:
        async for item in conversation:
            if isinstance(item, Send):
                conversation.sent(item.message.id)
                conversation.delivered(item.message.id)
                conversation.read_by_agent(item.message.id)
                said = await conversation.reply(item.message.parts, id="platform-1")
                await conversation.typing()
                await conversation.edit(said, "better")
                await conversation.delete(said)


class Noisy(Echo):
    """Prints wherever it can."""

    async def start(self) -> None:
        print("from start")

    async def converse(self, conversation: Conversation[Settings]) -> None:
        print("from converse")
        await asyncio.to_thread(self._below_python)
        _logger.info("in a session", extra={"number": 1})
        async for _ in conversation:
            raise ZeroDivisionError("a defect")

    def _below_python(self) -> None:
        ctypes.CDLL(None).puts(b"from C")
        ctypes.CDLL(None).fflush(None)
        subprocess.run([sys.executable, "-c", "print('from a child')"], check=True)


class Secretive(Echo):
    """Lets its secrets slip wherever it can."""

    async def connect(self, connection: Connection[Settings]) -> Sequence[AgentSetting]:
        token = connection.settings.token.get_secret_value()
        _logger.info("connecting with %s", token)
        print("printing", token)
        connection.set_state(ConnectionState.DEGRADED, f"half of {token}", "none")
        return [AgentSetting(name="Token", value=token, secret=True, env_var="TOKEN")]

    async def check(self, connection: Connection[Settings]) -> ConnectionStatus:
        raise CredentialsRefused(f"refused {connection.settings.token.get_secret_value()}", remedy="ask")

    async def converse(self, conversation: Conversation[Settings]) -> None:
        token = conversation.connection.settings.token.get_secret_value()
        async for item in conversation:
            assert isinstance(item, Send)
            conversation.raw(RawDirection.TO_AGENT, f"auth: {token}", label=f"POST {token}")
            conversation.raw(RawDirection.FROM_AGENT, b"x" * (64 * 1024 - 5) + token.encode() + b"tail")
            fault = Fault(FaultSource.AGENT, "REFUSED", f"said no to {token}", f"change {token}")
            conversation.failed(item.message.id, fault)
            if item.message.text == "raise":
                raise ValueError(token)
            if item.message.text == "fault":
                raise FaultError(fault)


class Connecting(Echo):
    """Fails to connect as the url says, and counts."""

    connects = 0

    async def connect(self, connection: Connection[Settings]) -> Sequence[AgentSetting]:
        Connecting.connects += 1
        _logger.info("connect %s %s %s", connection.id, connection.mode.name, connection.settings.url)
        match connection.settings.url:
            case "http://refused":
                raise CredentialsRefused("the platform says no", remedy="change the token")
            case "http://down":
                raise Unreachable("nobody answers", source=FaultSource.AGENT)
            case "http://wrong":
                raise SettingsError([SettingsViolation("url", "is not ours"), SettingsViolation("", "no")])
            case "http://broken":
                raise KeyError("a defect")
        return [AgentSetting(name="count", value=str(Connecting.connects))]

    async def disconnect(self, connection: Connection[Settings]) -> None:
        _logger.info("disconnect %s %s", connection.id, connection.settings.url)

    async def converse(self, conversation: Conversation[Settings]) -> None:
        async for item in conversation:
            assert isinstance(item, Send)
            conversation.connection.set_state(ConnectionState.FAILED, item.message.text, "wait")


LEFT = FaultError(Fault(FaultSource.AGENT, "AGENT_LEFT", "the agent left", "call it back"))


class Endings(Echo):
    """Ends as it is told."""

    async def converse(self, conversation: Conversation[Settings]) -> None:
        async for item in conversation:
            assert isinstance(item, Send)
            if item.message.text == "return":
                return
            await getattr(self, item.message.text)(conversation, item.message.id)

    async def forget(self, conversation: Conversation[Settings], message_id: str) -> None:
        """Tell nothing of the message."""

    async def defect(self, conversation: Conversation[Settings], message_id: str) -> None:
        raise ZeroDivisionError("a defect")

    async def group(self, conversation: Conversation[Settings], message_id: str) -> None:
        raise ExceptionGroup("of a task group", [KeyError(), LEFT])

    async def fault(self, conversation: Conversation[Settings], message_id: str) -> None:
        conversation.sent(message_id)
        await conversation.reply("goodbye")
        raise LEFT

    async def closed(self, conversation: Conversation[Settings], message_id: str) -> None:
        conversation.sent(message_id)
        conversation.closed(ClosedBy.PLATFORM, "the platform hung up")
        await conversation.reply("too late")

    async def twice(self, conversation: Conversation[Settings], message_id: str) -> None:
        conversation.sent(message_id)
        conversation.sent(message_id)
        conversation.failed(message_id, LEFT.fault)
        conversation.delivered("never came")

    async def hang(self, conversation: Conversation[Settings], message_id: str) -> None:
        conversation.sent(message_id)
        await asyncio.Event().wait()

    async def cling(self, conversation: Conversation[Settings], message_id: str) -> None:
        conversation.sent(message_id)
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                _logger.info("not going")


class Plenty(Echo):
    """Says numbers without end; waits for the host after so many."""

    manifest = manifest(max_unacked_events=4)

    async def converse(self, conversation: Conversation[Settings]) -> None:
        async for item in conversation:
            assert isinstance(item, Send)
            conversation.sent(item.message.id)
            for number in range(int(item.message.text)):
                conversation.raw(RawDirection.FROM_AGENT, str(number))
                await conversation.reply(str(number))
                _logger.info("said %s", number)
            conversation.turn_complete()


class Resuming(Echo):
    """Answers after the host went, when the file named by the message appears; forgets soon."""

    async def converse(self, conversation: Conversation[Settings]) -> None:
        if conversation.resume is not None:
            _logger.info("asked to resume %s", conversation.resume)
            conversation.opened("again", resumed=conversation.resume.epoch == "known")
            for message_id in conversation.resume.unsettled_message_ids:
                conversation.sent(message_id)
        else:
            conversation.opened("first")
        try:
            async for item in conversation:
                if isinstance(item, Send):
                    conversation.sent(item.message.id)
                    await conversation.reply(f"1 {item.message.text}")
                    await self._signal()
                    await conversation.reply(f"2 {item.message.text}")
                    _logger.info("answered %s", item.message.id)
        except asyncio.CancelledError:
            _logger.info("cancelled")
            raise

    async def _signal(self) -> None:
        """Wait for SIGUSR1, by which a test says: now."""
        loop = asyncio.get_running_loop()
        came = asyncio.Event()
        loop.add_signal_handler(signal.SIGUSR1, came.set)
        _logger.info("waiting for the signal")
        await came.wait()


class Forgetful(Resuming):
    """Lets a session go at once when the host is away."""

    async def start(self) -> None:
        _session.RESUMABLE_SECONDS = 0.0


class OnceOnly(Resuming):
    """Does not tell that it may be asked twice."""

    manifest = manifest(idempotent_send=False)


class Files(Echo):
    """Sends files, larger than come inline."""

    async def converse(self, conversation: Conversation[Settings]) -> None:
        async def pieces() -> AsyncIterator[bytes]:
            for number in range(3):
                yield bytes([number]) * 300_000

        async for item in conversation:
            assert isinstance(item, Send)
            conversation.sent(item.message.id)
            small = conversation.offer_media(b"small", kind=MediaKind.IMAGE, mime_type="image/png")
            large = conversation.offer_media(pieces, name="large.bin")
            await conversation.reply([small, large, Media(data=bytes(1 << 21))])


class Typing(Echo):
    """Logs what is not a message."""

    async def converse(self, conversation: Conversation[Settings]) -> None:
        async for item in conversation:
            match item:
                case PersonaTyping():
                    await conversation.reply("typing")
                case Read(message_id):
                    await conversation.reply(f"read {message_id}")
                case _:
                    conversation.sent(item.message.id)
                    _logger.info("got %s", item.message)


class Unstartable(Echo):
    """Cannot start."""

    async def start(self) -> None:
        raise Unreachable("the shared server is down")


class WithoutUnix(Echo):
    """Runs where there are no unix sockets."""

    def __init__(self) -> None:
        _serve.HAS_UNIX_SOCKETS = False


class Blocked(Echo):
    """Never comes back to the event loop."""

    async def converse(self, conversation: Conversation[Settings]) -> None:
        async for _ in conversation:
            _logger.info("blocking")
            os.read(os.pipe()[0], 1)


if __name__ == "__main__":
    if _stdout.taken_over is not None:
        print("from import")
    serve(globals()[sys.argv[1]], sys.argv[2:])
