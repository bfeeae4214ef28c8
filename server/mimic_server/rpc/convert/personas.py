"""Personas."""

from __future__ import annotations

from mimic.v1 import personas_pb2 as pb

from mimic_server.domain.personas import Persona, PersonaSpec
from mimic_server.rpc.convert import requests
from mimic_server.rpc.convert.values import timestamp

FIXED = frozenset({"id", "agent_id", "create_time", "update_time", "etag"})
"""Fields of a persona that are not part of its spec."""


def read_persona(proto: pb.Persona, at: str) -> PersonaSpec:
    """Raises InvalidInputError."""
    return PersonaSpec.parse(requests.values(proto, at, leave=FIXED), at)


def persona(domain: Persona) -> pb.Persona:
    """A stored persona."""
    proto = persona_of(domain.spec)
    proto.id, proto.agent_id, proto.etag = str(domain.id), str(domain.agent_id), str(domain.etag)
    proto.create_time.CopyFrom(timestamp(domain.created_at))
    proto.update_time.CopyFrom(timestamp(domain.updated_at))
    return proto


def persona_of(spec: PersonaSpec) -> pb.Persona:
    """A persona without an id: a draft, or one as it was when a session began."""
    style = spec.typing_style
    return pb.Persona(
        name=spec.name,
        age=spec.age,
        occupation=spec.occupation,
        location=spec.location,
        locale=spec.locale,
        background=spec.background,
        goals=spec.goals,
        frustrations=spec.frustrations,
        typing_style=pb.TypingStyle(
            description=style.description,
            lowercase=style.lowercase,
            typo_rate=style.typo_rate,
            burst_rate=style.burst_rate,
            double_send_rate=style.double_send_rate,
            picture_rate=style.picture_rate,
            silence_rate=style.silence_rate,
            emoji=style.emoji,
            words_per_minute=style.words_per_minute,
        ),
        sample_phrases=spec.sample_phrases,
        stop_conditions=spec.stop_conditions,
        simulation_tags=spec.simulation_tags,
    )
