"""What frames are: JSON, plain text, or packets of Socket.IO.

Socket.IO: docs/engine.io-protocol/v4-current.md and docs/socket.io-protocol/v5-current.md of
socketio/socket.io, read on 2026-11-22. Over a WebSocket each packet is a frame of its own. Binary attachments
are left out: an event that has some is told with their placeholders in it.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


class UnreadableError(ValueError):
    """A frame that is not what it should be; the message says what it is not."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """A frame that could be read."""

    data: Any
    """What it holds, as JSON is held."""
    answer: str = ""
    """The frame that the protocol wants in answer. Empty: none."""


Format = Callable[[str], Decoded]
"""Reads a frame; raises `UnreadableError`."""


def read_json(text: str) -> Decoded:
    """Read a frame of JSON.

    Args:
        text: The frame.

    Raises:
        UnreadableError: It is none.
    """
    return Decoded(_json(text))


def read_text(text: str) -> Decoded:
    """Read a frame of plain text.

    Args:
        text: The frame.
    """
    return Decoded(text)


_ENGINE = {"0": "open", "1": "close", "2": "ping", "3": "pong", "5": "upgrade", "6": "noop"}
_SOCKET = {"0": "connect", "1": "disconnect", "3": "ack", "4": "connect_error", "6": "ack"}
_EVENTS = frozenset("25")
_WITH_ATTACHMENTS = frozenset("56")
# Only digits and a namespace stand before the payload, so that nothing is tried twice.
_HEAD = re.compile(r"(?:(\d+)-)?(/[^,\[\{\"]*)?,?(\d+)?", re.ASCII)


def read_socket_io(text: str) -> Decoded:
    """Read a packet of Engine.IO 4, or of Socket.IO 5 inside of it.

    An event is `{"kind": <its name>, "data": <its first argument>, "args": [...], "id", "namespace"}`. Any
    other packet is `{"kind": "engine:open", "data": <its payload>}` or `{"kind": "socket:connect", "data",
    "id", "namespace"}`. An event that asks for an acknowledgement has an empty one as `Decoded.answer`.

    Args:
        text: The packet.

    Raises:
        UnreadableError: It is none.
    """
    if not text.startswith("4"):
        kind = _ENGINE.get(text[:1])
        if kind is None:
            raise UnreadableError("is no packet of Engine.IO")
        rest = text[1:]
        return Decoded({"kind": f"engine:{kind}", "data": _json(rest) if rest.startswith("{") else rest})
    number = text[1:2]
    head = _HEAD.match(text, 2)
    if head is None:
        raise UnreadableError("is no packet of Socket.IO")
    attachments, namespace, ack = head.groups()
    if attachments is not None and number not in _WITH_ATTACHMENTS:
        raise UnreadableError("is no packet of Socket.IO")
    payload = _json(text[head.end() :]) if head.end() < len(text) else None
    packet: dict[str, Any] = {
        "namespace": namespace or "/",
        "id": None if ack is None else int(ack[:18]),
        "data": payload,
    }
    if number in _EVENTS:
        if not isinstance(payload, list) or not payload or not isinstance(payload[0], str | int):
            raise UnreadableError("is an event of Socket.IO without a name")
        packet |= {
            "kind": str(payload[0]),
            "args": payload[1:],
            "data": payload[1] if len(payload) > 1 else None,
        }
        where = f"{namespace}," if namespace and namespace != "/" else ""
        return Decoded(packet, f"43{where}{ack}[]" if ack is not None else "")
    if number not in _SOCKET:
        raise UnreadableError("is no packet of Socket.IO")
    packet["kind"] = f"socket:{_SOCKET[number]}"
    return Decoded(packet)


FORMATS: Mapping[str, Format] = {"json": read_json, "text": read_text, "socket-io": read_socket_io}
"""By the value of the setting."""


_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def _json(text: str) -> Any:
    try:
        data = json.loads(text)
        # Half of a pair is valid JSON (RFC 8259, section 8.2), and no text that can go on from here.
        return _mended(data) if _SURROGATE.search(text) else data
    except (ValueError, RecursionError):
        raise UnreadableError("is not JSON") from None


def _mended(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode(errors="replace").decode()
    if isinstance(value, list):
        return [_mended(one) for one in value]
    if isinstance(value, dict):
        return {_mended(name): _mended(one) for name, one in value.items()}
    return value
