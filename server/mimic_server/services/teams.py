"""Use cases of teams."""

from __future__ import annotations

from dataclasses import dataclass, replace
from uuid import UUID, uuid5

from mimic_server.domain.errors import (
    AlreadyExistsError,
    InvalidInputError,
    NotFoundError,
    PermissionDeniedError,
)
from mimic_server.domain.ids import ApiKeyId, TeamId, new_uuid
from mimic_server.domain.ports import Listing, Page, Storage
from mimic_server.domain.specs import Name, Spec
from mimic_server.domain.teams import ApiKey, Principal, Role, Team
from mimic_server.services.clock import Clock, utc_now
from mimic_server.services.credentials import digest, new_key, shown_prefix
from mimic_server.services.patches import Patch
from mimic_server.services.repeats import uncontended

FIRST_TEAM_ID = TeamId(UUID("00000000-0000-7000-8000-000000000001"))
"""The first team has the same id everywhere, so that two servers that start at once make one team."""

_FIRST_KEY_REQUEST = "first-admin-key"


class TeamSpec(Spec):
    """What a team is."""

    name: Name


@dataclass(frozen=True, slots=True)
class TeamCreated:
    """What creating a team answered."""

    team: Team
    admin_key: str | None
    """The first key, an admin's. None: it was shown before."""


class TeamService:
    """Teams: whom everything belongs to."""

    def __init__(self, storage: Storage, *, clock: Clock = utc_now) -> None:
        self._storage = storage
        self._clock = clock

    async def create(self, principal: Principal, spec: TeamSpec, request_id: str = "") -> TeamCreated:
        """Stores a team with a first admin key.

        Raises:
            PermissionDeniedError: The caller is not of the server's first team.
        """
        if principal.team_id != FIRST_TEAM_ID:
            raise PermissionDeniedError(
                "FIRST_TEAM_ONLY", "only admins of the server's first team may create teams"
            )
        # The id follows from the request id, so that a repeat finds the team by it.
        key = uuid5(FIRST_TEAM_ID, request_id) if request_id else new_uuid()
        now = self._clock()
        return await _create(self._storage, Team(TeamId(key), spec.name, now, now))

    async def get(self, principal: Principal, team_id: TeamId) -> Team:
        """One's own team. Raises NotFoundError for any other."""
        if team_id != principal.team_id:
            raise NotFoundError("team", team_id)
        return await self._storage.get_team(team_id)

    async def list(self, principal: Principal, page: Page) -> Listing[Team]:
        """One's own team. Raises InvalidInputError for a page token: there is one page."""
        if page.token:
            raise InvalidInputError.of("page_token", "is not one of this listing's")
        return Listing((await self._storage.get_team(principal.team_id),), "")

    async def update(self, principal: Principal, team_id: TeamId, patch: Patch) -> Team:
        """Changes fields of one's own team.

        Raises:
            NotFoundError: It is another team.
            InvalidInputError: Of the changed fields; paths begin with `team`.
            ConflictError: The patch names another etag than the stored one.
        """

        async def change() -> Team:
            old = await self.get(principal, team_id)
            patch.check(old.etag)
            spec = patch.apply(TeamSpec(name=old.name), "team")
            new = replace(old, name=spec.name, updated_at=self._clock(), etag=old.etag + 1)
            await self._storage.save_team(new, if_etag=old.etag)
            return new

        return await uncontended(change, named_etag=patch.etag is not None)


async def ensure_first_team(storage: Storage, *, name: str = "default", clock: Clock = utc_now) -> str | None:
    """Makes the server's first team and its first admin key, if they are not there.

    Returns:
        The key. None if there was one already: it cannot be shown again.
    """
    now = clock()
    return (await _create(storage, Team(FIRST_TEAM_ID, name, now, now))).admin_key


async def _create(storage: Storage, team: Team) -> TeamCreated:
    """Stores a team and its first key; a crash between the two is mended by the next try."""
    try:
        await storage.add_team(team)
    except AlreadyExistsError:
        team = await storage.get_team(team.id)
    key = new_key()
    first = ApiKey(
        ApiKeyId(new_uuid()),
        team.id,
        "first admin key",
        Role.ADMIN,
        shown_prefix(key),
        digest(key),
        team.created_at,
        request_id=_FIRST_KEY_REQUEST,
    )
    try:
        async with storage.team(team.id) as unit:
            if (await unit.api_keys.list(Page(size=1))).items:
                return TeamCreated(team, None)
            await unit.api_keys.add(first)
    except AlreadyExistsError:
        return TeamCreated(team, None)
    return TeamCreated(team, key)
