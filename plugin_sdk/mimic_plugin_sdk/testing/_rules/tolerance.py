"""Rule 9: what is newer than the adapter is ignored."""

from typing import TypeVar

from google.protobuf.message import Message
from mimic.adapter.v1 import conversation_pb2, message_pb2

from mimic_plugin_sdk.testing._bench import Bench
from mimic_plugin_sdk.testing._conversation import SENT, name, send, text_message, words
from mimic_plugin_sdk.testing._rule import BrokenError, rule

M = TypeVar("M", bound=Message)

_UNKNOWN_FIELD = b"\xc2\x3e\x05newer"
"""Field 1000, of five bytes."""


def _newer(message: M) -> M:
    """A message with a field that the contract does not have."""
    return type(message).FromString(message.SerializeToString() + _UNKNOWN_FIELD)


@rule("R9-unknown-fields", "Unknown fields are ignored")
async def unknown_fields(bench: Bench) -> None:
    peer = await bench.shared()
    async with peer.session(_newer(peer.new_open())) as session:
        text = words()
        message = _newer(text_message(text))
        item = _newer(conversation_pb2.HostItem(send=_newer(conversation_pb2.Send(message=message))))
        await session.write_frame(_newer(conversation_pb2.ConverseRequest(items=[item])))
        receipt = await session.settled(message.id)
        if receipt.receipt.status != SENT:
            raise BrokenError("SENT", name(receipt))
        await session.answered(text)


@rule(
    "R9-unknown-items", "Items that are unset or of an unknown kind are ignored, and those beside them taken"
)
async def unknown_items(bench: Bench) -> None:
    peer = await bench.shared()
    async with peer.session() as session:
        text = words()
        message = text_message(text)
        await session.write(conversation_pb2.HostItem(), send(message), _newer(conversation_pb2.HostItem()))
        receipt = await session.settled(message.id)
        if receipt.receipt.status != SENT:
            raise BrokenError("SENT", name(receipt))
        await session.answered(text)


@rule("R9-unknown-parts", "Parts of an unknown kind are ignored, and those beside them sent")
async def unknown_parts(bench: Bench) -> None:
    peer = await bench.shared()
    async with peer.session() as session:
        text = words()
        message = text_message(text)
        message.parts.insert(0, _newer(message_pb2.Part()))
        message.parts.append(message_pb2.Part())
        await session.write(send(message))
        receipt = await session.settled(message.id)
        if receipt.receipt.status != SENT:
            raise BrokenError("SENT", name(receipt))
        await session.answered(text)
