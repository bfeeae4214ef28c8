from __future__ import annotations

import asyncio
from typing import Any

import pytest
from google.protobuf.descriptor import FieldDescriptor
from mimic.v1 import agents_pb2, bootstraps_pb2, evaluations_pb2, personas_pb2, runs_pb2, sessions_pb2
from mimic_server.domain.agents import AgentSpec, ConnectionSpec
from mimic_server.domain.bootstraps import BootstrapOptions
from mimic_server.domain.evaluations import (
    Aggregate,
    EvaluationSpec,
    Method,
    Metric,
    PassCriteria,
    Severity,
    WhoseMessages,
)
from mimic_server.domain.personas import PersonaSpec, TypingStyle
from mimic_server.domain.runs import RunOptions
from mimic_server.domain.sessions import SessionOptions
from mimic_server.domain.specs import Spec
from mimic_server.rpc.convert import agents, evaluations, personas, sessions
from mimic_server.rpc.convert.enums import BY_NAME
from mimic_server.rpc.convert.offsets import fitting

from tests.server.rpc.bench import Bench, Client
from tests.server.rpc.every_rpc import METHODS

NOT_OF_AN_EVALUATION = evaluations.FIXED | {"disabled"}


@pytest.mark.parametrize(
    "message,spec,beside",
    [
        (agents_pb2.Agent, AgentSpec, agents.FIXED),
        (agents_pb2.Connection, ConnectionSpec, {"id"}),
        (personas_pb2.Persona, PersonaSpec, personas.FIXED),
        (personas_pb2.TypingStyle, TypingStyle, set()),
        (evaluations_pb2.Evaluation, EvaluationSpec, NOT_OF_AN_EVALUATION),
        (evaluations_pb2.PassCriteria, PassCriteria, set()),
        (bootstraps_pb2.BootstrapOptions, BootstrapOptions, set()),
        (sessions_pb2.SessionOptions, SessionOptions, set()),
        (runs_pb2.RunOptions, RunOptions, set()),
    ],
)
def test_a_message_has_the_fields_of_its_spec(message: Any, spec: type[Spec], beside: set[str]) -> None:
    named = {field.alias or name for name, field in spec.model_fields.items()}
    assert set(message.DESCRIPTOR.fields_by_name) - beside == named


def enumerations(descriptor: Any, seen: set[str]) -> set[str]:
    """The enumerations that a message and its parts hold."""
    if descriptor.full_name in seen:
        return set()
    seen.add(descriptor.full_name)
    found = set()
    for field in descriptor.fields:
        if field.type == FieldDescriptor.TYPE_ENUM:
            found.add(field.enum_type.full_name)
        elif field.message_type is not None:
            found |= enumerations(field.message_type, seen)
    return {name for name in found if name.startswith("mimic.")}


def test_every_enumeration_of_a_request_is_known() -> None:
    seen: set[str] = set()
    found = {name for method in METHODS.values() for name in enumerations(method.input_type, seen)}
    assert found <= set(BY_NAME)


def test_every_member_of_an_enumeration_is_on_both_sides() -> None:
    for kind in BY_NAME.values():
        domain: Any = type(next(iter(kind._read.values())))
        assert set(kind._read.values()) == set(domain), kind.name
        assert {kind.write(member) for member in domain} == set(kind._read), kind.name
        assert kind.write(None) == 0
        assert kind.read(0) is None


def test_what_is_written_is_read_again() -> None:
    persona = PersonaSpec(
        name="Ada",
        age=1,
        occupation="o",
        location="l",
        locale="de-CH",
        background="b",
        goals=("g", "h"),
        frustrations=("f",),
        typing_style=TypingStyle(
            description="d",
            lowercase=True,
            typo_rate=0.1,
            burst_rate=0.2,
            double_send_rate=0.3,
            picture_rate=0.4,
            silence_rate=0.5,
            emoji=True,
            words_per_minute=5,
        ),
        sample_phrases=("p",),
        stop_conditions=("s",),
        simulation_tags=("t",),
    )
    assert personas.read_persona(personas.persona_of(persona), "") == persona
    for method, metric in zip(Method, Metric, strict=True):
        evaluation = EvaluationSpec(
            name="n",
            metric=metric,
            method=method,
            pass_criteria=PassCriteria.parse({"pass": "p", "warning": "w", "fail": "f"}),
            severity=Severity.LOW,
            notes="n",
            llm_prompt="l",
            regex="r",
            script="s",
            messages=WhoseMessages.BOTH,
            aggregate=Aggregate.P95,
        )
        assert evaluations.read_evaluation(evaluations.evaluation_of(evaluation), "") == evaluation
    options = SessionOptions(
        max_turns=1,
        seed=0,
        turn_timeout_ms=100,
        turn_quiet_ms=10,
        max_silent_turns=1,
        pace=0.5,
        max_tokens=9,
        max_attempts=1,
        capture_raw=True,
    )
    assert sessions.read_options(sessions.options(options), "") == options
    assert sessions.read_options(sessions.options(SessionOptions()), "") == SessionOptions()


def test_a_page_is_one_that_every_client_takes() -> None:
    large = sessions_pb2.RawPayload(payload="x" * 2**20)
    assert len(fitting([large] * 10)) == 2
    assert len(fitting([sessions_pb2.RawPayload(payload="x" * 2**23)])) == 1
    assert fitting(iter([])) == []


async def test_a_listing_does_not_wait_for_a_silent_adapter_time_after_time(
    api: Client, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(5):
        await api.agent()
    asked = []

    async def hang(channel: str) -> Any:
        asked.append(channel)
        await asyncio.Event().wait()

    bench.adapters.manifest = hang  # type: ignore[method-assign]
    monkeypatch.setattr("mimic_server.services.connector._MANIFEST_SECONDS", 0.05)
    listing = await api.agents.ListAgents(agents_pb2.ListAgentsRequest())
    assert len(listing.agents) == 5
    assert {str(a.connections[0].settings["url"]) for a in listing.agents} == {"[stored]"}
    assert asked == ["local"]
