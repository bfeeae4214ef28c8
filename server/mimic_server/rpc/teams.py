"""TeamService."""

from __future__ import annotations

from mimic.v1 import teams_pb2 as pb
from mimic.v1.teams_pb2_grpc import TeamServiceServicer

from mimic_server.domain.ids import TeamId
from mimic_server.rpc.calls import Context, caller
from mimic_server.rpc.convert import requests
from mimic_server.rpc.convert import teams as convert
from mimic_server.services.teams import TeamService


class TeamServicer(TeamServiceServicer):
    """The caller's team."""

    def __init__(self, teams: TeamService) -> None:
        self._teams = teams

    async def CreateTeam(self, request: pb.CreateTeamRequest, context: Context) -> pb.CreateTeamResponse:
        spec = convert.read_team(request.team, "team")
        created = await self._teams.create(caller(), spec, requests.request_id(request.request_id))
        return pb.CreateTeamResponse(team=convert.team(created.team), admin_key=created.admin_key or "")

    async def GetTeam(self, request: pb.GetTeamRequest, context: Context) -> pb.GetTeamResponse:
        team = await self._teams.get(caller(), _team_id(request.team_id))
        return pb.GetTeamResponse(team=convert.team(team))

    async def ListTeams(self, request: pb.ListTeamsRequest, context: Context) -> pb.ListTeamsResponse:
        listing = await self._teams.list(caller(), requests.page(request.page_size, request.page_token))
        return pb.ListTeamsResponse(
            teams=map(convert.team, listing.items), next_page_token=listing.next_token
        )

    async def UpdateTeam(self, request: pb.UpdateTeamRequest, context: Context) -> pb.UpdateTeamResponse:
        team_id = _team_id(request.team.id, "team.id")
        patch = requests.patch(request.team, request.update_mask, "team", fixed=convert.FIXED_OF_TEAM)
        return pb.UpdateTeamResponse(team=convert.team(await self._teams.update(caller(), team_id, patch)))


def _team_id(text: str, field: str = "team_id") -> TeamId:
    return TeamId(requests.uuid(text, field))
