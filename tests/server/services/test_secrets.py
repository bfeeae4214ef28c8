from __future__ import annotations

import json
from typing import Any

import pytest
from mimic_server.domain.errors import InvalidInputError
from mimic_server.services.secrets import STORED, SecretSchema, restored

SECRET = {"type": "string", "writeOnly": True}


@pytest.mark.parametrize(
    "schema,settings,shown",
    [
        ({"properties": {"a": SECRET, "b": {}}}, {"a": "x", "b": "y"}, {"a": STORED, "b": "y"}),
        ({"properties": {"a": SECRET}}, {"a": ""}, {"a": ""}),
        ({"properties": {"a": SECRET}}, {"a": None}, {"a": None}),
        ({"properties": {"a": {"writeOnly": True}}}, {"a": 7}, {"a": STORED}),
        ({"properties": {"a": {"writeOnly": True}}}, {"a": {"b": 1, "c": ""}}, {"a": {"b": STORED, "c": ""}}),
        ({"properties": {"a": {"anyOf": [SECRET, {"type": "null"}]}}}, {"a": "x"}, {"a": STORED}),
        ({"properties": {"a": {"allOf": [{"oneOf": [SECRET]}]}}}, {"a": "x"}, {"a": STORED}),
        (
            {"properties": {"a": {"items": {"properties": {"b": SECRET}}}}},
            {"a": [{"b": "x", "c": 1}]},
            {"a": [{"b": STORED, "c": 1}]},
        ),
        ({"properties": {"a": {"prefixItems": [{}, SECRET]}}}, {"a": ["x", "y"]}, {"a": ["x", STORED]}),
        ({"additionalProperties": SECRET}, {"a": "x"}, {"a": STORED}),
        ({"patternProperties": {"^x": SECRET}}, {"xa": "x"}, {"xa": STORED}),
        (
            {"properties": {"a": {"$ref": "#/$defs/A"}}, "$defs": {"A": {"properties": {"b": SECRET}}}},
            {"a": {"b": "x"}},
            {"a": {"b": STORED}},
        ),
        (
            {"$ref": "#/$defs/T", "$defs": {"T": {"properties": {"t": {"$ref": "#/$defs/T"}, "s": SECRET}}}},
            {"t": {"t": {"s": "x", "n": 1}}},
            {"t": {"t": {"s": STORED, "n": 1}}},
        ),
        ({"$ref": "#"}, {"a": 1}, {"a": 1}),
        ({"properties": {"a": {"$ref": "#/nowhere"}}}, {"a": 1}, {"a": 1}),
    ],
)
def test_secrets_are_hidden_wherever_they_are(
    schema: dict[str, Any], settings: dict[str, Any], shown: dict[str, Any]
) -> None:
    assert SecretSchema(json.dumps(schema)).hide(settings) == shown


@pytest.mark.parametrize("schema", [None, "no json", "[]", "null"])
def test_everything_is_a_secret_where_no_schema_is_known(schema: str | None) -> None:
    settings = {"a": "x", "b": {"c": [1, {"d": "y"}]}, "e": None}
    assert SecretSchema(schema).hide(settings) == {"a": STORED, "b": {"c": STORED}, "e": None}


def test_what_was_hidden_comes_back() -> None:
    stored = {"a": "x", "b": {"c": [1, {"d": "y"}]}}
    hidden = SecretSchema(None).hide(stored)
    assert restored(hidden, stored, "settings") == stored
    assert restored({"b": {"c": [2, {"d": STORED}]}}, stored, "settings") == {"b": {"c": [2, {"d": "y"}]}}


def test_nothing_comes_back_from_where_nothing_is() -> None:
    given = {"a": STORED, "b": [STORED], "c": {"d": STORED}}
    with pytest.raises(InvalidInputError) as error:
        restored(given, {"b": "x"}, "settings")
    assert [v.field for v in error.value.violations] == ["settings.a", "settings.b[0]", "settings.c.d"]
