"""Schemas that OpenAI takes in strict mode, as its local stand-in checks them."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

import pytest
from mimic_server.domain.personas import PersonaSpec
from mimic_server.evaluation.tasks import (
    BooleanAnswer,
    CountAnswer,
    PercentageAnswer,
    ScoreAnswer,
    SentimentAnswer,
)
from mimic_server.llm.strict_schema import strict_schema
from mimic_server.simulation.drafts import EvaluationDrafts
from mimic_server.simulation.tasks import PersonaTurn
from pydantic import BaseModel, Field

from tests.support.openai_server.strict_schema import strict_fault


class Leaf(BaseModel):
    title: str = "a property that is called like a keyword"
    default: int = 3


class Tree(BaseModel):
    children: list[Tree] = []
    leaf: Leaf | None = None
    other: Annotated[Leaf, Field(description="a reference with a neighbour")] = Leaf()
    kind: Literal["a", "b"] = "a"
    code: Annotated[str, Field(min_length=1, max_length=3, pattern="^[a-z]+$")]
    rate: Annotated[float, Field(ge=0, lt=1)]


ANSWERS: list[type[BaseModel]] = [
    PersonaTurn, PersonaSpec, EvaluationDrafts, BooleanAnswer, CountAnswer, PercentageAnswer, ScoreAnswer,
    SentimentAnswer, Tree,
]  # fmt: skip


@pytest.mark.parametrize("model", ANSWERS)
def test_is_what_openai_takes(model: type[BaseModel]) -> None:
    assert strict_fault(strict_schema(model)) is None


def test_keeps_what_can_be_said() -> None:
    schema = strict_schema(Tree)
    assert schema["properties"]["rate"] == {"type": "number", "minimum": 0, "exclusiveMaximum": 1}
    assert schema["properties"]["code"] == {"type": "string", "pattern": "^[a-z]+$"}
    assert schema["properties"]["leaf"]["anyOf"][1] == {"type": "null"}
    assert schema["properties"]["other"] == {"$ref": "#/$defs/Leaf"}
    assert set(schema["required"]) == set(Tree.model_fields)
    assert list(schema["$defs"]["Leaf"]["properties"]) == ["title", "default"]
    assert "pass" in json.dumps(strict_schema(EvaluationDrafts))


class FreeKeys(BaseModel):
    values: dict[str, int]


class Pair(BaseModel):
    values: tuple[int, str]


class Anything(BaseModel):
    values: list[Any]


@pytest.mark.parametrize("model", [FreeKeys, Pair])
def test_refuses_what_cannot_be_said(model: type[BaseModel]) -> None:
    with pytest.raises(TypeError):
        strict_schema(model)
