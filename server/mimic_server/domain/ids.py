"""Opaque, named identifiers. Only their owner parses them."""

from __future__ import annotations

import uuid
from typing import NewType

import uuid_utils

TeamId = NewType("TeamId", uuid.UUID)
ApiKeyId = NewType("ApiKeyId", uuid.UUID)
AgentId = NewType("AgentId", uuid.UUID)
ConnectionId = NewType("ConnectionId", uuid.UUID)
PersonaId = NewType("PersonaId", uuid.UUID)
EvaluationId = NewType("EvaluationId", uuid.UUID)
SessionId = NewType("SessionId", uuid.UUID)
ResultId = NewType("ResultId", uuid.UUID)
RunId = NewType("RunId", uuid.UUID)
BootstrapId = NewType("BootstrapId", uuid.UUID)

MessageId = NewType("MessageId", str)
"""The sender's id of a message; unique within one attempt of a session."""


def new_uuid() -> uuid.UUID:
    """A UUIDv7: ids made later sort later, which keeps a table's index dense."""
    return uuid.UUID(bytes=uuid_utils.uuid7().bytes)


def persona_message_id(session: SessionId, attempt: int, turn: int, index: int) -> MessageId:
    """The id of a persona's message: the same whenever the same turn is played again."""
    return MessageId(f"{session.hex}:{attempt}:{turn}:{index}")
