"""Pages of listings that are read by a position."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from typing import TypeVar
from uuid import UUID

from google.protobuf.message import Message

from mimic_server.domain.errors import InvalidInputError
from mimic_server.rpc.convert.requests import MAX_POSITION

_PAGE_BYTES = 3 * 2**20
"""A client takes an answer of 4 MiB unless it says otherwise."""

ProtoT = TypeVar("ProtoT", bound=Message)


def encode(kind: str, owner: UUID, position: int) -> str:
    """A token that goes on after a position of one listing."""
    return base64.urlsafe_b64encode(f"{kind} {owner} {position}".encode()).decode().rstrip("=")


def decode(kind: str, owner: UUID, token: str) -> int:
    """The position that a token goes on after, 0 for an empty one.

    Raises:
        InvalidInputError: It is not a token of this listing.
    """
    if not token:
        return 0
    try:
        text = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode("ascii")
        told_kind, told_owner, position = text.split(" ")
        if told_kind == kind and told_owner == str(owner) and 0 <= int(position) <= MAX_POSITION:
            return int(position)
    except (binascii.Error, ValueError):
        pass
    raise InvalidInputError.of("page_token", "is not one of this listing's")


def fitting(protos: Iterable[ProtoT]) -> list[ProtoT]:
    """The first of these that make an answer which every client takes; at least one, if there is one."""
    found: list[ProtoT] = []
    total = 0
    for proto in protos:
        total += proto.ByteSize()
        if found and total > _PAGE_BYTES:
            break
        found.append(proto)
    return found
