"""RunService."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from mimic.v1 import runs_pb2 as pb
from mimic.v1.runs_pb2_grpc import RunServiceServicer

from mimic_server.domain.ids import AgentId, ConnectionId, EvaluationId, PersonaId, RunId
from mimic_server.domain.runs import Run
from mimic_server.rpc.calls import Context, caller, closing
from mimic_server.rpc.convert import requests
from mimic_server.rpc.convert import runs as convert
from mimic_server.rpc.convert import sessions as convert_sessions
from mimic_server.rpc.convert.enums import JOB_STATE
from mimic_server.services.runs import RunService


class RunServicer(RunServiceServicer):
    """Personas by repeats of sessions."""

    def __init__(self, runs: RunService) -> None:
        self._runs = runs

    async def CreateRun(self, request: pb.CreateRunRequest, context: Context) -> pb.CreateRunResponse:
        connection_id = requests.optional_uuid(request.connection_id, "connection_id")
        personas = requests.uuids(request.persona_ids, "persona_ids")
        evaluations = requests.uuids(request.evaluation_ids, "evaluation_ids")
        run = await self._runs.create(
            caller(),
            agent_id=AgentId(requests.uuid(request.agent_id, "agent_id")),
            name=requests.name(request.name, "name"),
            connection_id=ConnectionId(connection_id) if connection_id else None,
            persona_ids=tuple(map(PersonaId, personas)),
            evaluation_ids=tuple(map(EvaluationId, evaluations)),
            options=convert.read_options(request.options, "options"),
            request_id=requests.request_id(request.request_id),
        )
        return pb.CreateRunResponse(run=convert.run(run))

    async def GetRun(self, request: pb.GetRunRequest, context: Context) -> pb.GetRunResponse:
        return pb.GetRunResponse(run=convert.run(await self._runs.get(caller(), _run_id(request.run_id))))

    async def ListRuns(self, request: pb.ListRunsRequest, context: Context) -> pb.ListRunsResponse:
        filters: dict[str, Any] = {
            "agent_id": requests.optional_uuid(request.agent_id, "agent_id"),
            "state": requests.enums(JOB_STATE, request.states, "states"),
        }
        page = requests.page(request.page_size, request.page_token)
        given = {name: value for name, value in filters.items() if value}
        listing = await self._runs.list(caller(), page, **given)
        return pb.ListRunsResponse(runs=map(convert.run, listing.items), next_page_token=listing.next_token)

    async def CancelRun(self, request: pb.CancelRunRequest, context: Context) -> pb.CancelRunResponse:
        run = await self._runs.cancel(caller(), _run_id(request.run_id))
        return pb.CancelRunResponse(run=convert.run(run))

    async def WatchRun(
        self, request: pb.WatchRunRequest, context: Context
    ) -> AsyncIterator[pb.WatchRunResponse]:
        async with closing(self._runs.watch(caller(), _run_id(request.run_id))) as changes:
            async for item in changes:
                if isinstance(item, Run):
                    yield pb.WatchRunResponse(run=convert.run(item))
                else:
                    yield pb.WatchRunResponse(session=convert_sessions.session(item))

    async def GetReport(self, request: pb.GetReportRequest, context: Context) -> pb.GetReportResponse:
        report = await self._runs.report(caller(), _run_id(request.run_id))
        return pb.GetReportResponse(report=convert.report(report))


def _run_id(text: str) -> RunId:
    return RunId(requests.uuid(text, "run_id"))
