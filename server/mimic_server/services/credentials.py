"""Who a call comes from: API keys as they are made, and checked."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from mimic_server.domain.errors import MimicError, UnauthenticatedError
from mimic_server.domain.ports import Storage
from mimic_server.domain.teams import ApiKey, Principal
from mimic_server.services.clock import Clock, utc_now

KEY_PREFIX = "mimic_"
"""What every API key begins with, so that people and secret scanners know one."""

_SHOWN_CHARS = 12
_KEY_BYTES = 32
_CACHED_SECONDS = 5.0
"""How long another process's revocation may go unseen."""
_CACHED_KEYS = 10_000
_TOUCH_EVERY = timedelta(minutes=1)


def new_key() -> str:
    """A new API key: `mimic_` and 43 characters of base64url."""
    return KEY_PREFIX + secrets.token_urlsafe(_KEY_BYTES)


def shown_prefix(key: str) -> str:
    """The first characters of a key, by which its owner knows it again."""
    return key[:_SHOWN_CHARS]


def digest(key: str) -> bytes:
    """What is stored of a key."""
    return hashlib.sha256(key.encode()).digest()


@dataclass(frozen=True, slots=True)
class _Known:
    key: ApiKey
    until: float
    """On the monotonic clock."""


class Credentials:
    """Checks API keys. Keeps those that were valid for some seconds, so that a call costs no query."""

    def __init__(
        self,
        storage: Storage,
        *,
        clock: Clock = utc_now,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._storage = storage
        self._clock = clock
        self._monotonic = monotonic
        self._known: OrderedDict[bytes, _Known] = OrderedDict()

    async def of_api_key(self, key: str) -> Principal:
        """Who a key belongs to.

        Raises:
            UnauthenticatedError: It is no key of anyone's, or revoked, or expired: which one is not told.
            UnavailableError: The database cannot be reached.
        """
        key_sha256 = digest(key)
        known = self._known.get(key_sha256)
        if known is None or known.until < self._monotonic():
            found = await self._find(key_sha256)
        else:
            found = known.key
        now = self._clock()
        if found is None or found.revoked_at is not None or (found.expires_at and found.expires_at <= now):
            raise UnauthenticatedError(
                "API_KEY_INVALID", "the API key is not valid: unknown, revoked or expired"
            )
        return Principal(found.team_id, found.role, f"key:{found.id}")

    def forget(self, key_sha256: bytes) -> None:
        """Sees to it that a changed key is read again with the next call."""
        self._known.pop(key_sha256, None)

    async def _find(self, key_sha256: bytes) -> ApiKey | None:
        found = await self._storage.find_api_key(key_sha256)
        if found is None or not hmac.compare_digest(found.key_sha256, key_sha256):
            return None
        self._known[key_sha256] = _Known(found, self._monotonic() + _CACHED_SECONDS)
        self._known.move_to_end(key_sha256)
        if len(self._known) > _CACHED_KEYS:
            self._known.popitem(last=False)
        await self._touch(found)
        return found

    async def _touch(self, key: ApiKey) -> None:
        now = self._clock()
        if key.last_used_at is not None and now - key.last_used_at < _TOUCH_EVERY:
            return
        try:
            await self._storage.touch_api_key(key, now.replace(second=0, microsecond=0))
        except MimicError:
            # A database that cannot be written still answers reads.
            return
