"""Use cases of API keys."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from pydantic import AwareDatetime

from mimic_server.domain.errors import InvalidInputError, PermissionDeniedError, PreconditionError
from mimic_server.domain.ids import ApiKeyId, new_uuid
from mimic_server.domain.ports import Listing, Page, Storage, UnitOfWork
from mimic_server.domain.specs import Name, Spec
from mimic_server.domain.teams import ApiKey, Principal, Role
from mimic_server.services.clock import Clock, utc_now
from mimic_server.services.credentials import Credentials, digest, new_key, shown_prefix
from mimic_server.services.patches import Patch
from mimic_server.services.repeats import once


class ApiKeySpec(Spec):
    """What an API key may do, and until when."""

    name: Name
    role: Role = Role.MEMBER
    expire_time: AwareDatetime | None = None
    """None: never."""


@dataclass(frozen=True, slots=True)
class ApiKeyCreated:
    """What creating a key answered."""

    api_key: ApiKey
    key: str | None
    """The key itself. None: it was shown before."""


class ApiKeyService:
    """The credentials of a team."""

    def __init__(self, storage: Storage, credentials: Credentials, *, clock: Clock = utc_now) -> None:
        self._storage = storage
        self._credentials = credentials
        self._clock = clock

    async def create(self, principal: Principal, spec: ApiKeySpec, request_id: str = "") -> ApiKeyCreated:
        """Creates a key.

        Raises:
            PermissionDeniedError: The role is above the caller's.
            InvalidInputError: It would have expired already.
        """
        if spec.role > principal.role:
            raise PermissionDeniedError(
                "ROLE_ABOVE_OWN", f"a {principal.role.name} cannot create a key of role {spec.role.name}"
            )
        now = self._clock()
        _check_expiry(spec.expire_time, now)
        key = new_key()
        api_key = ApiKey(
            ApiKeyId(new_uuid()),
            principal.team_id,
            spec.name,
            spec.role,
            shown_prefix(key),
            digest(key),
            now,
            spec.expire_time,
            request_id=request_id,
        )

        async def store() -> ApiKeyCreated:
            async with self._storage.team(principal.team_id) as unit:
                earlier = await unit.api_keys.by_request_id(request_id)
                if earlier is not None:
                    return ApiKeyCreated(earlier, None)
                await unit.api_keys.add(api_key)
            return ApiKeyCreated(api_key, key)

        return await once(store)

    async def get(self, principal: Principal, api_key_id: ApiKeyId) -> ApiKey:
        """Raises NotFoundError."""
        async with self._storage.team(principal.team_id) as unit:
            return await unit.api_keys.get(api_key_id)

    async def list(self, principal: Principal, page: Page) -> Listing[ApiKey]:
        """The team's keys. Raises InvalidInputError for a foreign page token."""
        async with self._storage.team(principal.team_id) as unit:
            return await unit.api_keys.list(page)

    async def update(self, principal: Principal, api_key_id: ApiKeyId, patch: Patch) -> ApiKey:
        """Changes a key's name or expiry.

        Raises:
            NotFoundError: There is no such key.
            InvalidInputError: Of the changed fields; paths begin with `api_key`.
        """
        async with self._storage.team(principal.team_id) as unit:
            old = await unit.api_keys.get(api_key_id)
            spec = patch.apply(
                ApiKeySpec(name=old.name, role=old.role, expire_time=old.expires_at), "api_key"
            )
            if spec.role is not old.role:
                raise InvalidInputError.of("api_key.role", "cannot be changed: create another key")
            if spec.expire_time != old.expires_at:
                _check_expiry(spec.expire_time, self._clock())
            new = replace(old, name=spec.name, expires_at=spec.expire_time)
            await unit.api_keys.save(new)
        self._credentials.forget(new.key_sha256)
        return new

    async def revoke(self, principal: Principal, api_key_id: ApiKeyId) -> ApiKey:
        """Revokes a key. One that is revoked stays as it is.

        Raises:
            NotFoundError: There is no such key.
            PreconditionError: It is the team's last valid admin key.
        """
        async with self._storage.team(principal.team_id) as unit:
            key = await unit.api_keys.get(api_key_id)
            if key.revoked_at is None:
                now = self._clock()
                if _rules(key, now) and not await _another_rules(unit, key, now):
                    raise PreconditionError(
                        "LAST_ADMIN_KEY", "this is the team's last valid admin key: create another first"
                    )
                key = replace(key, revoked_at=now)
                await unit.api_keys.save(key)
        self._credentials.forget(key.key_sha256)
        return key


def _check_expiry(expires_at: datetime | None, now: datetime) -> None:
    if expires_at is not None and expires_at <= now:
        raise InvalidInputError.of("api_key.expire_time", "has passed already")


def _rules(key: ApiKey, now: datetime) -> bool:
    """Whether it is an admin's key and valid."""
    valid = key.revoked_at is None and (key.expires_at is None or key.expires_at > now)
    return valid and key.role is Role.ADMIN


async def _another_rules(unit: UnitOfWork, key: ApiKey, now: datetime) -> bool:
    page = Page(size=1000)
    while True:
        listing = await unit.api_keys.list(page)
        if any(_rules(other, now) for other in listing.items if other.id != key.id):
            return True
        if not listing.next_token:
            return False
        page = Page(size=1000, token=listing.next_token)
