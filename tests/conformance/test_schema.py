"""What the kit reads in a settings schema."""

import json
from typing import Any

import pytest
from mimic_plugin_sdk.testing._schema import Schema

NESTED = {
    "type": "object",
    "$defs": {"Login": {"type": "object", "properties": {"password": {"type": "string", "writeOnly": True}}}},
    "properties": {
        "url": {"type": "string"},
        "token": {"anyOf": [{"type": "string", "writeOnly": True}, {"type": "null"}]},
        "login": {"$ref": "#/$defs/Login", "description": "beside"},
        "headers": {"type": "object", "additionalProperties": {"type": "string", "writeOnly": True}},
        "hooks": {"type": "array", "items": {"type": "string", "writeOnly": True}},
        "kind": {"enum": ["a", "b"]},
        "anything": {},
    },
    "required": ["url"],
}


def schema(value: Any) -> Schema:
    return Schema(json.dumps(value))


def test_a_schema_of_an_object_has_no_fault() -> None:
    assert list(schema(NESTED).faults()) == []


@pytest.mark.parametrize(
    "value, fault",
    [
        ([], "no JSON object"),
        ({"type": "array"}, "not 'object'"),
        ({"type": "object", "$schema": "http://json-schema.org/draft-07/schema#"}, "draft-07"),
        ({"type": "object", "properties": {"a": {"type": "text"}}}, "type 'text' at #/properties/a"),
        ({"type": "object", "properties": {"a": 1}}, "1 at #/properties/a"),
        ({"type": "object", "properties": []}, "properties at # that is not an object"),
        ({"type": "object", "required": "a"}, "required at #"),
        ({"type": "object", "properties": {"a": {"exclusiveMinimum": True}}}, "exclusiveMinimum"),
        ({"type": "object", "properties": {"a": {"items": [{}]}}}, "no schema"),
        ({"type": "object", "properties": {"a": {"$ref": "#/$defs/No"}}}, "leads nowhere"),
        ({"type": "object", "properties": {"a": {"pattern": "("}}}, "regular expression"),
        ({"type": "object", "properties": {"a": {"minLength": -1}}}, "minLength"),
        ({"type": "object", "anyOf": []}, "anyOf"),
    ],
)
def test_what_is_no_schema_is_told(value: Any, fault: str) -> None:
    assert any(fault in told for told in schema(value).faults())


def test_secrets_are_found_at_any_depth() -> None:
    settings = {
        "url": "public",
        "token": "one",
        "login": {"password": "two", "name": "public"},
        "headers": {"X-Key": "three"},
        "hooks": ["four"],
    }
    assert schema(NESTED).secrets(settings) == ["one", "two", "three", "four"]
    assert schema(NESTED).has_secrets
    assert not schema({"type": "object", "properties": {"url": {"type": "string"}}}).has_secrets


def test_wrong_values_are_of_no_type_that_is_allowed() -> None:
    wrong = {"wrong": "type"}
    assert schema(NESTED).wrong_values() == {
        "url": wrong,
        "token": wrong,
        "login": 12345,
        "headers": 12345,
        "hooks": wrong,
        "kind": wrong,
    }


def test_secrets_by_name_have_to_be_marked() -> None:
    properties = {
        "api_key": {"type": "string"},
        "password": {"type": "string", "writeOnly": True},
        "max_tokens": {"type": "integer"},
        "token": {"$ref": "#/$defs/Secret"},
    }
    secret = {"type": "string", "writeOnly": True}
    given = {"type": "object", "properties": properties, "$defs": {"Secret": secret}}
    assert schema(given).unmarked_secrets() == ["api_key"]


def test_text_that_is_no_json_has_no_settings() -> None:
    assert schema("?").properties == {}
    assert Schema("{").required == []
