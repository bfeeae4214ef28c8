"""JSON schemas as structured outputs take them.

OpenAI's guide "Structured outputs", section "Supported schemas": every object is closed and requires all of
its properties, `$ref` stands alone, and only some keywords are known. What a schema cannot say is left to
the pydantic model that validates the answer.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

_KEPT = frozenset(
    {
        "type", "enum", "const", "description", "items", "minItems", "maxItems", "pattern", "multipleOf",
        "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum",
    }
)  # fmt: skip
_FORMATS = frozenset({"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"})


@functools.cache
def strict_schema(model: type[BaseModel]) -> Mapping[str, Any]:
    """The schema of a model's JSON.

    Raises:
        TypeError: The model has what structured outputs cannot have: free keys, or tuples of several types.
    """
    schema = model.model_json_schema()
    definitions = {name: _strict(definition) for name, definition in schema.get("$defs", {}).items()}
    # A model that contains itself is but a reference to its definition, which the root may not be.
    root = schema.get("$ref", "").rpartition("/")[2]
    strict = dict(definitions[root]) if root else _strict(schema)
    return {**strict, "$defs": definitions} if definitions else strict


def _strict(schema: Mapping[str, Any]) -> dict[str, Any]:
    if "$ref" in schema:
        return {"$ref": schema["$ref"]}
    for alternatives in ("anyOf", "oneOf"):
        if alternatives in schema:
            return {"anyOf": [_strict(option) for option in schema[alternatives]]}
    strict = {key: value for key, value in schema.items() if key in _KEPT}
    if schema.get("format") in _FORMATS:
        strict["format"] = schema["format"]
    if "prefixItems" in schema or (schema.get("type") == "array" and "items" not in schema):
        raise TypeError("structured outputs know only arrays of one kind of item")
    if "items" in schema:
        strict["items"] = _strict(schema["items"])
    if schema.get("type") == "object":
        if schema.get("additionalProperties"):
            raise TypeError("structured outputs know no objects with free keys")
        properties = schema.get("properties", {})
        strict["properties"] = {name: _strict(value) for name, value in properties.items()}
        strict["required"] = list(properties)
        strict["additionalProperties"] = False
    return strict
