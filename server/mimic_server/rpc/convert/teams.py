"""Teams and API keys."""

from __future__ import annotations

from mimic.v1 import teams_pb2 as pb

from mimic_server.domain.teams import ApiKey, Team
from mimic_server.rpc.convert import requests
from mimic_server.rpc.convert.enums import ROLE
from mimic_server.rpc.convert.values import optional_timestamp, timestamp
from mimic_server.services.api_keys import ApiKeySpec
from mimic_server.services.teams import TeamSpec

FIXED_OF_TEAM = frozenset({"id", "create_time", "update_time", "etag"})
"""Fields of a team that callers do not write."""
FIXED_OF_KEY = frozenset({"id", "prefix", "create_time", "revoke_time", "last_use_time"})
"""Fields of a key that callers do not write."""


def read_team(proto: pb.Team, at: str) -> TeamSpec:
    """Raises InvalidInputError."""
    return TeamSpec.parse(requests.values(proto, at, leave=FIXED_OF_TEAM), at)


def read_api_key(proto: pb.ApiKey, at: str) -> ApiKeySpec:
    """Raises InvalidInputError."""
    return ApiKeySpec.parse(requests.values(proto, at, leave=FIXED_OF_KEY), at)


def team(domain: Team) -> pb.Team:
    """A team."""
    return pb.Team(
        id=str(domain.id),
        name=domain.name,
        create_time=timestamp(domain.created_at),
        update_time=timestamp(domain.updated_at),
        etag=str(domain.etag),
    )


def api_key(domain: ApiKey) -> pb.ApiKey:
    """A key's description."""
    return pb.ApiKey(
        id=str(domain.id),
        name=domain.name,
        role=ROLE.write(domain.role),
        prefix=domain.prefix,
        create_time=timestamp(domain.created_at),
        expire_time=optional_timestamp(domain.expires_at),
        revoke_time=optional_timestamp(domain.revoked_at),
        last_use_time=optional_timestamp(domain.last_used_at),
    )
