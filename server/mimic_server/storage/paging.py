"""Page tokens: where the next part of a listing begins."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from mimic_server.domain.errors import InvalidInputError

MAX_PAGE_SIZE = 1000

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def listing_mark(kind: str, team_id: UUID, filters: Mapping[str, Any], *, oldest_first: bool) -> bytes:
    """Marks the tokens of one listing, so that they are refused by another."""
    wanted = [kind, team_id.hex, oldest_first, sorted((name, repr(value)) for name, value in filters.items())]
    return hashlib.blake2b(repr(wanted).encode(), digest_size=8).digest()


def encode_token(mark: bytes, created_at: datetime, key: UUID) -> str:
    """A token for what follows a row."""
    micros = (created_at - _EPOCH) // _MICROSECOND
    return base64.urlsafe_b64encode(mark + micros.to_bytes(8, "big", signed=True) + key.bytes).decode()


def decode_token(mark: bytes, token: str) -> tuple[datetime, UUID]:
    """The row that a token's part of the listing follows.

    Raises:
        InvalidInputError: It is not a token of this listing.
    """
    try:
        found = base64.b64decode(token.encode("ascii"), altchars=b"-_", validate=True)
        created_at = _EPOCH + int.from_bytes(found[8:16], "big", signed=True) * _MICROSECOND
    except (ValueError, OverflowError):
        found, created_at = b"", _EPOCH
    if len(found) != 32 or found[:8] != mark:
        raise InvalidInputError.of(
            "page_token", "is not from an earlier answer to the same listing with the same filters"
        )
    return created_at, UUID(bytes=found[16:])
