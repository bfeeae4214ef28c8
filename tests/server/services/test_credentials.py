from __future__ import annotations

from datetime import timedelta

import pytest
from mimic_server.domain.errors import UnauthenticatedError, UnavailableError
from mimic_server.domain.teams import ApiKey, Role
from mimic_server.services.api_keys import ApiKeyService, ApiKeySpec
from mimic_server.services.clock import utc_now
from mimic_server.services.credentials import Credentials, digest, new_key
from mimic_server.storage import SqlStorage

from tests.server.services.ground import ADMIN


class Counted:
    """A storage that counts what is asked of its keys."""

    def __init__(self, storage: SqlStorage) -> None:
        self._storage = storage
        self.found = self.touched = 0
        self.read_only = False

    async def find_api_key(self, key_sha256: bytes) -> ApiKey | None:
        self.found += 1
        return await self._storage.find_api_key(key_sha256)

    async def touch_api_key(self, key: ApiKey, at: object) -> None:
        self.touched += 1
        if self.read_only:
            raise UnavailableError("DATABASE_FULL", "full", timedelta(seconds=1))
        await self._storage.touch_api_key(key, at)  # type: ignore[arg-type]


async def made(storage: SqlStorage) -> str:
    keys = ApiKeyService(storage, Credentials(storage))
    created = await keys.create(ADMIN, ApiKeySpec(name="k", role=Role.VIEWER))
    assert created.key
    return created.key


async def test_a_key_is_read_once_in_a_while(storage: SqlStorage) -> None:
    key, counted, now = await made(storage), Counted(storage), 100.0
    credentials = Credentials(counted, monotonic=lambda: now)  # type: ignore[arg-type]
    for _ in range(2):
        await credentials.of_api_key(key)
    principal = await credentials.of_api_key(key)
    assert (principal.team_id, principal.role) == (ADMIN.team_id, Role.VIEWER)
    assert principal.subject.startswith("key:")
    assert counted.found == 1
    now += 6
    await credentials.of_api_key(key)
    assert counted.found == 2
    credentials.forget(digest(key))
    await credentials.of_api_key(key)
    assert counted.found == 3
    assert counted.touched == 1


async def test_an_unknown_key_is_not_kept(storage: SqlStorage) -> None:
    counted = Counted(storage)
    credentials = Credentials(counted)  # type: ignore[arg-type]
    for key in ("", "x", new_key(), "mimic_ü"):
        with pytest.raises(UnauthenticatedError):
            await credentials.of_api_key(key)
    assert counted.found == 4
    assert not credentials._known


async def test_a_database_that_cannot_be_written_still_admits(storage: SqlStorage) -> None:
    key, counted = await made(storage), Counted(storage)
    counted.read_only = True
    await Credentials(counted).of_api_key(key)  # type: ignore[arg-type]
    assert counted.touched == 1


async def test_what_is_kept_has_its_limit(storage: SqlStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mimic_server.services.credentials._CACHED_KEYS", 2)
    credentials = Credentials(storage)
    for key in [await made(storage) for _ in range(4)]:
        await credentials.of_api_key(key)
    assert len(credentials._known) == 2


async def test_a_key_expires_while_it_is_kept(storage: SqlStorage) -> None:
    now = utc_now()
    keys = ApiKeyService(storage, Credentials(storage))
    spec = ApiKeySpec(name="k", expire_time=now + timedelta(hours=1))
    key = (await keys.create(ADMIN, spec)).key
    assert key
    credentials = Credentials(storage, clock=lambda: now)
    await credentials.of_api_key(key)
    now += timedelta(hours=1)
    with pytest.raises(UnauthenticatedError):
        await credentials.of_api_key(key)


def test_keys_are_long_and_differ() -> None:
    keys = {new_key() for _ in range(100)}
    assert len(keys) == 100
    assert {len(key) for key in keys} == {49}
