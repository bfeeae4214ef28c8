"""A host's side of the tests: connections and conversations over the adapter's real socket."""

import asyncio
import itertools
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from grpc.aio import Channel
from mimic.adapter.v1 import adapter_pb2, adapter_pb2_grpc, conversation_pb2, message_pb2

from tests.plugin_sdk.host import SECONDS, Failed, Talk, failed

SENT = conversation_pb2.RECEIPT_STATUS_SENT
FAILED = conversation_pb2.RECEIPT_STATUS_FAILED
AGENT = message_pb2.FAULT_SOURCE_AGENT
CHANNEL = message_pb2.FAULT_SOURCE_CHANNEL


class Turn:
    """What came since the persona spoke, until the agent had finished or the conversation was over."""

    def __init__(self) -> None:
        self.events: list[conversation_pb2.Event] = []

    def _all(self, kind: str) -> list[Any]:
        return [getattr(event, kind) for event in self.events if event.HasField(kind)]  # type: ignore[arg-type]

    @property
    def kinds(self) -> list[str]:
        """The kinds of its events, in order."""
        return [event.WhichOneof("event") or "" for event in self.events]

    @property
    def messages(self) -> list[conversation_pb2.AgentMessage]:
        """What the agent said."""
        return self._all("message")

    @property
    def texts(self) -> list[str]:
        """Its texts."""
        return [message.message.parts[0].text.text for message in self.messages]

    @property
    def receipts(self) -> list[conversation_pb2.Receipt]:
        """What became of the persona's messages."""
        return self._all("receipt")

    @property
    def raw(self) -> list[conversation_pb2.Raw]:
        """The payloads."""
        return self._all("raw")

    @property
    def complete(self) -> conversation_pb2.TurnComplete:
        """That the agent has finished."""
        (complete,) = self._all("turn_complete")
        return complete  # type: ignore[no-any-return]

    @property
    def closed(self) -> conversation_pb2.Closed:
        """The end of the conversation."""
        (closed,) = self._all("closed")
        return closed  # type: ignore[no-any-return]


class Session:
    """One conversation."""

    def __init__(self, talk: Talk, session_id: str) -> None:
        self.talk = talk
        self.id = session_id
        self._numbers = itertools.count(1)

    async def send(self, *parts: message_pb2.Part | str, more: bool = False, **fields: Any) -> str:
        """Send a message of the persona, and return its id."""
        item = conversation_pb2.HostItem()
        message = item.send.message
        message.id = f"m{next(self._numbers)}"
        for part in parts:
            if isinstance(part, str):
                message.parts.add().text.text = part
            else:
                message.parts.append(part)
        for name, value in fields.items():
            setattr(message, name, value)
        item.send.more = more
        await self.talk.send(item)
        return message.id

    async def turn(self) -> Turn:
        """Wait until the agent has finished a turn, or the conversation is over, or a message FAILED."""
        turn = Turn()
        while True:
            event = await self.talk.event()
            turn.events.append(event)
            kind = event.WhichOneof("event")
            if kind in {"turn_complete", "closed"} or event.receipt.status == FAILED:
                return turn

    async def say(self, *parts: message_pb2.Part | str) -> Turn:
        """Say something, and wait until the agent has finished."""
        await self.send(*parts)
        return await self.turn()

    async def fails(self, text: str = "hi") -> Failed:
        """Say something that ends the conversation by a fault, and return how."""
        await self.send(text)
        return await self.talk.failure()

    async def close(self) -> Turn:
        """Close it as a host does, and return what still came."""
        await self.talk.close()
        turn = Turn()
        turn.events = await self.talk.rest()
        return turn


def choice(choice_id: str, title: str = "") -> message_pb2.Part:
    """Make the part of a choice that the persona took."""
    return message_pb2.Part(choice_taken=message_pb2.ChoiceTaken(choice_id=choice_id, title=title))


class Rest:
    """The adapter."""

    def __init__(self, channel: Channel) -> None:
        self.stub = adapter_pb2_grpc.AdapterServiceStub(channel)
        self._made: list[str] = []

    async def connect(self, **settings: Any) -> str:
        """Bring a connection up, and return its id."""
        request = adapter_pb2.ConnectRequest(connection_id=str(uuid.uuid4()))
        request.settings.update(settings)
        await self.stub.Connect(request)
        return request.connection_id

    async def refusal(self, **settings: Any) -> dict[str, str]:
        """Try to bring up a connection whose settings are wrong, and return the violations by field."""
        request = adapter_pb2.ConnectRequest(connection_id=str(uuid.uuid4()))
        request.settings.update(settings)
        refused = await failed(self.stub.Connect(request))
        assert refused.code.name == "INVALID_ARGUMENT"
        return {one.field: one.description for one in refused.bad.field_violations}

    async def disconnect(self, connection_id: str) -> None:
        """Take a connection down."""
        await self.stub.Disconnect(adapter_pb2.DisconnectRequest(connection_id=connection_id))

    async def check(self, connection_id: str) -> tuple[str, str]:
        """Probe a connection: its state, and why it is so."""
        request = adapter_pb2.CheckConnectionRequest(connection_id=connection_id)
        status = (await self.stub.CheckConnection(request)).status
        return adapter_pb2.ConnectionState.Name(status.state).removeprefix("CONNECTION_STATE_"), status.reason

    async def open(
        self,
        connection_id: str,
        *,
        session_id: str = "",
        attempt: int = 1,
        capture_raw: bool = False,
        resume: conversation_pb2.Resume | None = None,
    ) -> Session:
        """Begin a conversation; its Opened is the next event."""
        session = Session(Talk(self.stub), session_id or str(uuid.uuid4()))
        item = conversation_pb2.HostItem()
        item.open.session_id = session.id
        item.open.attempt = attempt
        item.open.connection_id = connection_id
        item.open.persona.display_name = "Ada Lovelace"
        item.open.persona.locale = "en-GB"
        item.open.capture_raw = capture_raw
        if resume is not None:
            item.open.resume.CopyFrom(resume)
        await session.talk.send(item)
        return session

    @asynccontextmanager
    async def conversing(self, *, capture_raw: bool = False, **settings: Any) -> AsyncIterator[Session]:
        """Bring a connection up and begin a conversation over it; both are undone at the end."""
        connection_id = await self.connect(**settings)
        try:
            session = await self.open(connection_id, capture_raw=capture_raw)
            await session.talk.until("opened")
            try:
                yield session
            finally:
                session.talk.call.cancel()
        finally:
            async with asyncio.timeout(SECONDS):
                await self.disconnect(connection_id)
