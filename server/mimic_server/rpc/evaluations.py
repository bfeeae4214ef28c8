"""EvaluationService."""

from __future__ import annotations

from dataclasses import replace

from mimic.v1 import evaluations_pb2 as pb
from mimic.v1.evaluations_pb2_grpc import EvaluationServiceServicer

from mimic_server.domain.errors import InvalidInputError
from mimic_server.domain.evaluations import EvaluationSpec
from mimic_server.domain.ids import AgentId, EvaluationId, SessionId
from mimic_server.domain.messages import Transcript
from mimic_server.rpc.calls import Context, caller
from mimic_server.rpc.convert import evaluations as convert
from mimic_server.rpc.convert import requests
from mimic_server.rpc.convert.bootstraps import read_draft_options
from mimic_server.rpc.convert.values import usage
from mimic_server.services.evaluations import EvaluationService


class EvaluationServicer(EvaluationServiceServicer):
    """The checks of agents."""

    def __init__(self, evaluations: EvaluationService) -> None:
        self._evaluations = evaluations

    async def CreateEvaluation(
        self, request: pb.CreateEvaluationRequest, context: Context
    ) -> pb.CreateEvaluationResponse:
        evaluation = await self._evaluations.create(
            caller(),
            AgentId(requests.uuid(request.evaluation.agent_id, "evaluation.agent_id")),
            convert.read_evaluation(request.evaluation, "evaluation"),
            requests.request_id(request.request_id),
            enabled=not request.evaluation.disabled,
        )
        return pb.CreateEvaluationResponse(evaluation=convert.evaluation(evaluation))

    async def GetEvaluation(
        self, request: pb.GetEvaluationRequest, context: Context
    ) -> pb.GetEvaluationResponse:
        evaluation = await self._evaluations.get(caller(), _evaluation_id(request.evaluation_id))
        return pb.GetEvaluationResponse(evaluation=convert.evaluation(evaluation))

    async def ListEvaluations(
        self, request: pb.ListEvaluationsRequest, context: Context
    ) -> pb.ListEvaluationsResponse:
        agent_id = requests.optional_uuid(request.agent_id, "agent_id")
        page = requests.page(request.page_size, request.page_token)
        listing = await self._evaluations.list(
            caller(), page, agent_id=AgentId(agent_id) if agent_id else None
        )
        return pb.ListEvaluationsResponse(
            evaluations=map(convert.evaluation, listing.items), next_page_token=listing.next_token
        )

    async def UpdateEvaluation(
        self, request: pb.UpdateEvaluationRequest, context: Context
    ) -> pb.UpdateEvaluationResponse:
        evaluation_id = _evaluation_id(request.evaluation.id, "evaluation.id")
        patch = requests.patch(request.evaluation, request.update_mask, "evaluation", fixed=convert.FIXED)
        enabled = None
        if "disabled" in patch.paths:
            # Whether it is enabled is not part of what an evaluation is.
            enabled = not patch.values.get("disabled", False)
            patch = replace(patch, paths=tuple(path for path in patch.paths if path != "disabled"))
        evaluation = await self._evaluations.update(caller(), evaluation_id, patch, enabled=enabled)
        return pb.UpdateEvaluationResponse(evaluation=convert.evaluation(evaluation))

    async def DeleteEvaluation(
        self, request: pb.DeleteEvaluationRequest, context: Context
    ) -> pb.DeleteEvaluationResponse:
        await self._evaluations.delete(caller(), _evaluation_id(request.evaluation_id))
        return pb.DeleteEvaluationResponse()

    async def GenerateEvaluations(
        self, request: pb.GenerateEvaluationsRequest, context: Context
    ) -> pb.GenerateEvaluationsResponse:
        agent_id = AgentId(requests.uuid(request.agent_id, "agent_id"))
        options = read_draft_options("evaluations", request.count or 5, request.instructions, request.seed)
        drafts = await self._evaluations.generate(caller(), agent_id, options)
        evaluations = [convert.evaluation_of(spec) for spec in drafts.evaluations]
        for evaluation in evaluations:
            evaluation.agent_id = request.agent_id
        return pb.GenerateEvaluationsResponse(evaluations=evaluations, usage=usage(drafts.usage))

    async def TestEvaluation(
        self, request: pb.TestEvaluationRequest, context: Context
    ) -> pb.TestEvaluationResponse:
        trial = await self._evaluations.test(caller(), _tried(request), _on(request))
        return pb.TestEvaluationResponse(result=convert.trial(trial))


def _tried(request: pb.TestEvaluationRequest) -> EvaluationId | EvaluationSpec:
    match request.WhichOneof("evaluation_source"):
        case "evaluation_id":
            return _evaluation_id(request.evaluation_id)
        case "evaluation":
            return convert.read_evaluation(request.evaluation, "evaluation")
        case None:
            raise InvalidInputError.of(
                "evaluation", "give an evaluation, or the evaluation_id of a stored one"
            )


def _on(request: pb.TestEvaluationRequest) -> SessionId | Transcript:
    match request.WhichOneof("transcript_source"):
        case "session_id":
            return SessionId(requests.uuid(request.session_id, "session_id"))
        case "transcript":
            return convert.read_transcript(request.transcript, "transcript")
        case None:
            raise InvalidInputError.of("transcript", "give a transcript, or the session_id of a stored one")


def _evaluation_id(text: str, field: str = "evaluation_id") -> EvaluationId:
    return EvaluationId(requests.uuid(text, field))
