"""PersonaService."""

from __future__ import annotations

from mimic.v1 import personas_pb2 as pb
from mimic.v1.personas_pb2_grpc import PersonaServiceServicer

from mimic_server.domain.ids import AgentId, PersonaId
from mimic_server.rpc.calls import Context, caller
from mimic_server.rpc.convert import personas as convert
from mimic_server.rpc.convert import requests
from mimic_server.rpc.convert.bootstraps import read_draft_options
from mimic_server.rpc.convert.values import usage
from mimic_server.services.personas import PersonaService


class PersonaServicer(PersonaServiceServicer):
    """The simulated people of agents."""

    def __init__(self, personas: PersonaService) -> None:
        self._personas = personas

    async def CreatePersona(
        self, request: pb.CreatePersonaRequest, context: Context
    ) -> pb.CreatePersonaResponse:
        persona = await self._personas.create(
            caller(),
            AgentId(requests.uuid(request.persona.agent_id, "persona.agent_id")),
            convert.read_persona(request.persona, "persona"),
            requests.request_id(request.request_id),
        )
        return pb.CreatePersonaResponse(persona=convert.persona(persona))

    async def GetPersona(self, request: pb.GetPersonaRequest, context: Context) -> pb.GetPersonaResponse:
        persona = await self._personas.get(caller(), _persona_id(request.persona_id))
        return pb.GetPersonaResponse(persona=convert.persona(persona))

    async def ListPersonas(
        self, request: pb.ListPersonasRequest, context: Context
    ) -> pb.ListPersonasResponse:
        agent_id = requests.optional_uuid(request.agent_id, "agent_id")
        page = requests.page(request.page_size, request.page_token)
        listing = await self._personas.list(caller(), page, agent_id=AgentId(agent_id) if agent_id else None)
        return pb.ListPersonasResponse(
            personas=map(convert.persona, listing.items), next_page_token=listing.next_token
        )

    async def UpdatePersona(
        self, request: pb.UpdatePersonaRequest, context: Context
    ) -> pb.UpdatePersonaResponse:
        persona_id = _persona_id(request.persona.id, "persona.id")
        patch = requests.patch(request.persona, request.update_mask, "persona", fixed=convert.FIXED)
        persona = await self._personas.update(caller(), persona_id, patch)
        return pb.UpdatePersonaResponse(persona=convert.persona(persona))

    async def DeletePersona(
        self, request: pb.DeletePersonaRequest, context: Context
    ) -> pb.DeletePersonaResponse:
        await self._personas.delete(caller(), _persona_id(request.persona_id))
        return pb.DeletePersonaResponse()

    async def GeneratePersonas(
        self, request: pb.GeneratePersonasRequest, context: Context
    ) -> pb.GeneratePersonasResponse:
        agent_id = AgentId(requests.uuid(request.agent_id, "agent_id"))
        options = read_draft_options("personas", request.count or 1, request.instructions, request.seed)
        drafts = await self._personas.generate(caller(), agent_id, options)
        personas = [convert.persona_of(spec) for spec in drafts.personas]
        for persona in personas:
            persona.agent_id = request.agent_id
        return pb.GeneratePersonasResponse(personas=personas, usage=usage(drafts.usage))


def _persona_id(text: str, field: str = "persona_id") -> PersonaId:
    return PersonaId(requests.uuid(text, field))
