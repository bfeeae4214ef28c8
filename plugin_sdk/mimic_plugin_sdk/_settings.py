"""A connection's settings: from the wire to the author's model, and what is said when they do not fit."""

from collections.abc import Iterator, Mapping
from typing import Any

from google.protobuf.struct_pb2 import ListValue, Struct, Value
from pydantic import BaseModel, ValidationError

from mimic_plugin_sdk._errors import SettingsError, SettingsViolation
from mimic_plugin_sdk._redact import add_secrets, add_values, redacted

# Integers beyond this are not exact in the doubles that a Struct carries.
_EXACT = 2**53


def settings_from_wire(struct: Struct) -> dict[str, Any]:
    """Read a Struct as JSON-like values; a number without a fraction is an int."""
    return {name: _value(value) for name, value in struct.fields.items()}


def _value(value: Value) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "number_value":
        number = value.number_value
        return int(number) if number.is_integer() and abs(number) <= _EXACT else number
    if kind == "struct_value":
        return settings_from_wire(value.struct_value)
    if kind == "list_value":
        return _list(value.list_value)
    if kind == "string_value":
        return value.string_value
    return value.bool_value if kind == "bool_value" else None


def _list(values: ListValue) -> list[Any]:
    return [_value(value) for value in values.values]


def checked_settings(model: type[BaseModel], given: Mapping[str, Any]) -> BaseModel:
    """Check settings against the author's model, and redact their secrets from now on.

    Args:
        model: The author's model.
        given: The settings as they came.

    Raises:
        SettingsError: They do not fit; no violation repeats what was given.
    """
    try:
        settings = model.model_validate(given)
    except ValidationError as error:
        # A check of the author's own may have put a secret into its message.
        add_values(_secrets(settings_schema(model), given))
        raise SettingsError([_violation(one) for one in error.errors(include_url=False)]) from None
    add_secrets(settings)
    return settings


def _violation(error: Mapping[str, Any]) -> SettingsViolation:
    return SettingsViolation(".".join(map(str, error["loc"])), redacted(error["msg"]))


def settings_schema(model: type[BaseModel]) -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of the author's model, secrets marked `writeOnly`."""
    return model.model_json_schema() | {"$schema": "https://json-schema.org/draft/2020-12/schema"}


def _secrets(schema: Mapping[str, Any], given: Any) -> Iterator[str]:
    """Yield what was given where a schema wants a secret."""
    definitions = schema.get("$defs", {})

    def search(part: Any, value: Any) -> Iterator[str]:
        if not isinstance(part, Mapping):
            return
        if part.get("writeOnly") and isinstance(value, str):
            yield value
        if "$ref" in part:
            yield from search(definitions.get(str(part["$ref"]).rpartition("/")[2]), value)
        for word in ("allOf", "anyOf", "oneOf"):
            for one in part.get(word, ()):
                yield from search(one, value)
        for inner_part, inner in _inside(part, value):
            yield from search(inner_part, inner)

    return search(schema, given)


def _inside(part: Mapping[str, Any], value: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(value, Mapping):
        named = part.get("properties", {})
        for name, inner in value.items():
            yield named.get(name, part.get("additionalProperties")), inner
    elif isinstance(value, list):
        for inner in value:
            yield part.get("items"), inner
