from __future__ import annotations

from typing import Any

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from mimic.v1 import personas_pb2 as pb
from mimic_server.domain.errors import FaultError

from tests.server.rpc.bench import SIMULATOR_FAULT, Bench, Client, refused

Code = grpc.StatusCode


async def test_what_is_not_said_has_its_default(api: Client) -> None:
    agent = await api.agent(connected=False)
    persona = await api.persona(agent.id)
    assert (persona.name, persona.age, persona.locale) == ("Ada", 35, "en")
    assert persona.typing_style.words_per_minute == 40
    full = await api.persona(
        agent.id,
        age=1,
        locale="de-CH",
        frustrations=["queues"],
        simulation_tags=["vip"],
        typing_style=pb.TypingStyle(typo_rate=1, words_per_minute=5, emoji=True),
    )
    assert (full.age, full.locale, list(full.simulation_tags)) == (1, "de-CH", ["vip"])
    assert full.typing_style.words_per_minute == 5
    assert (await api.personas.GetPersona(pb.GetPersonaRequest(persona_id=full.id))).persona == full


@pytest.mark.parametrize(
    "fields,violated",
    [
        ({"name": ""}, "persona.name"),
        ({"name": "x" * 65}, "persona.name"),
        ({"age": 0}, "persona.age"),
        ({"age": 121}, "persona.age"),
        ({"locale": "no such thing"}, "persona.locale"),
        ({"goals": []}, "persona.goals"),
        ({"goals": ["a", "b", " "]}, "persona.goals[2]"),
        ({"goals": ["x"] * 11}, "persona.goals"),
        ({"simulation_tags": ["ok", "not ok"]}, "persona.simulation_tags[1]"),
        ({"background": "x" * 20_001}, "persona.background"),
        ({"typing_style": pb.TypingStyle(typo_rate=1.5)}, "persona.typing_style.typo_rate"),
        ({"typing_style": pb.TypingStyle(burst_rate=float("nan"))}, "persona.typing_style.burst_rate"),
        ({"typing_style": pb.TypingStyle(words_per_minute=0)}, "persona.typing_style.words_per_minute"),
        ({"agent_id": ""}, "persona.agent_id"),
        ({"agent_id": "{0193e4b2-6b1c-7e5a-9d3f-2a4c6e8f0b1d}"}, "persona.agent_id"),
    ],
)
async def test_each_fault_is_named_by_its_field(api: Client, fields: dict[str, Any], violated: str) -> None:
    agent = await api.agent(connected=False)
    fields = {"agent_id": agent.id, **fields}
    with refused(Code.INVALID_ARGUMENT, violated):
        await api.persona(fields.pop("agent_id"), **fields)


async def test_all_faults_are_told_at_once(api: Client) -> None:
    agent = await api.agent(connected=False)
    with refused(Code.INVALID_ARGUMENT, "persona.name", "persona.age", "persona.goals"):
        await api.persona(agent.id, name="", age=200, goals=[])


async def test_a_request_id_has_its_limit(api: Client) -> None:
    agent = await api.agent(connected=False)
    persona = pb.Persona(agent_id=agent.id, name="Ada", goals=["g"])
    with refused(Code.INVALID_ARGUMENT, "request_id"):
        await api.personas.CreatePersona(pb.CreatePersonaRequest(persona=persona, request_id="x" * 129))
    request = pb.CreatePersonaRequest(persona=persona, request_id="x" * 128)
    first = (await api.personas.CreatePersona(request)).persona
    assert (await api.personas.CreatePersona(request)).persona == first


@pytest.mark.parametrize("size", [-1, 1001, 2**31 - 1])
async def test_a_page_has_its_limits(api: Client, size: int) -> None:
    with refused(Code.INVALID_ARGUMENT, "page_size"):
        await api.personas.ListPersonas(pb.ListPersonasRequest(page_size=size))


async def test_a_page_token_is_its_listings_own(api: Client) -> None:
    first, second = await api.agent(connected=False), await api.agent(connected=False)
    for _ in range(2):
        await api.persona(first.id)
    page = await api.personas.ListPersonas(pb.ListPersonasRequest(agent_id=first.id, page_size=1))
    for token in (page.next_page_token, "nonsense"):
        with refused(Code.INVALID_ARGUMENT, "page_token"):
            await api.personas.ListPersonas(pb.ListPersonasRequest(agent_id=second.id, page_token=token))


async def test_a_mask_reaches_into_the_typing_style(api: Client) -> None:
    agent = await api.agent(connected=False)
    style = pb.TypingStyle(typo_rate=0.5, emoji=True, words_per_minute=80)
    persona = await api.persona(agent.id, typing_style=style, frustrations=["queues"])

    async def update(mask: list[str], **fields: Any) -> pb.Persona:
        change = pb.Persona(id=persona.id, **fields)
        request = pb.UpdatePersonaRequest(persona=change, update_mask=FieldMask(paths=mask))
        return (await api.personas.UpdatePersona(request)).persona

    changed = await update(
        ["typing_style.typo_rate", "frustrations"], typing_style=pb.TypingStyle(typo_rate=0.1)
    )
    assert (changed.typing_style.typo_rate, changed.typing_style.emoji) == (0.1, True)
    assert not changed.frustrations
    # Without a mask, what is set replaces what was there, as a whole.
    changed = await update([], typing_style=pb.TypingStyle(typo_rate=0.2))
    assert (changed.typing_style.emoji, changed.typing_style.words_per_minute) == (False, 40)
    with refused(Code.INVALID_ARGUMENT, "persona.goals"):
        await update(["goals"])
    with refused(Code.INVALID_ARGUMENT, "persona.typing_style.typo_rate"):
        await update(["typing_style.typo_rate"], typing_style=pb.TypingStyle(typo_rate=7))
    with refused(Code.INVALID_ARGUMENT, "persona.id"):
        await api.personas.UpdatePersona(pb.UpdatePersonaRequest(persona=pb.Persona(name="x")))


async def test_a_deleted_persona_is_gone(api: Client) -> None:
    agent = await api.agent(connected=False)
    persona = await api.persona(agent.id)
    await api.personas.DeletePersona(pb.DeletePersonaRequest(persona_id=persona.id))
    with refused(Code.NOT_FOUND, reason="PERSONA_NOT_FOUND"):
        await api.personas.GetPersona(pb.GetPersonaRequest(persona_id=persona.id))


async def test_drafts_are_not_stored(api: Client, bench: Bench) -> None:
    agent = await api.agent(connected=False)
    await api.persona(agent.id, name="Taken")
    drafted = await api.personas.GeneratePersonas(pb.GeneratePersonasRequest(agent_id=agent.id, count=3))
    assert [p.name for p in drafted.personas] == ["Persona 0", "Persona 1", "Persona 2"]
    assert {p.id for p in drafted.personas} == {""}
    assert drafted.usage.calls == 3
    assert bench.model.tasks[-1].drafted_names == ("Taken",)
    assert len((await api.personas.ListPersonas(pb.ListPersonasRequest())).personas) == 1
    # A draft is stored as it is.
    stored = await api.personas.CreatePersona(pb.CreatePersonaRequest(persona=drafted.personas[0]))
    assert stored.persona.agent_id == agent.id


@pytest.mark.parametrize("count", [-1, 51])
async def test_as_many_drafts_as_are_allowed(api: Client, count: int) -> None:
    agent = await api.agent(connected=False)
    with refused(Code.INVALID_ARGUMENT, "count"):
        await api.personas.GeneratePersonas(pb.GeneratePersonasRequest(agent_id=agent.id, count=count))
    with refused(Code.INVALID_ARGUMENT, "seed"):
        await api.personas.GeneratePersonas(pb.GeneratePersonasRequest(agent_id=agent.id, seed=-1))


async def test_a_model_that_fails_is_told_as_the_simulators_fault(api: Client, bench: Bench) -> None:
    agent = await api.agent(connected=False)
    bench.model._answers = lambda _: FaultError(SIMULATOR_FAULT)
    with refused(Code.FAILED_PRECONDITION, reason="MODEL_UNAVAILABLE") as refusal:
        await api.personas.GeneratePersonas(pb.GeneratePersonasRequest(agent_id=agent.id, count=3))
    assert refusal.metadata == {"fault_source": "SIMULATOR", "remedy": "start it"}
