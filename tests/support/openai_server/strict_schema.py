"""OpenAI's rules for a JSON schema in strict mode.

From the guide "Structured outputs", section "Supported schemas", as of 2026: every object closed and every
property required, no `anyOf` at the root, 5,000 properties, 10 levels, 120,000 characters of names and
values, 1,000 enum values; of the keywords only those below. How OpenAI counts levels is not written down:
here each object and each array inside another is one.
"""

from collections.abc import Iterator, Mapping
from typing import Any

MAX_PROPERTIES = 5_000
MAX_LEVELS = 10
MAX_CHARACTERS = 120_000
MAX_ENUM_VALUES = 1_000
LARGE_ENUM_VALUES = 250
MAX_LARGE_ENUM_CHARACTERS = 15_000

_COMMON = {"type", "description", "title", "enum", "const", "anyOf", "$ref", "$defs", "definitions"}
_OF_TYPE = {
    "object": {"properties", "required", "additionalProperties"},
    "array": {"items", "minItems", "maxItems"},
    "string": {"pattern", "format"},
    "number": {"multipleOf", "maximum", "exclusiveMaximum", "minimum", "exclusiveMinimum"},
    "integer": {"multipleOf", "maximum", "exclusiveMaximum", "minimum", "exclusiveMinimum"},
    "boolean": set[str](),
    "null": set[str](),
}
_FORMATS = {"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"}
_AT_ROOT = {"$schema", "$id"}
_PYTHON_TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "number": (int, float),
    "integer": int,
    "boolean": bool,
    "null": type(None),
    "object": dict,
    "array": list,
}

Path = tuple[str, ...]
Schema = Mapping[str, Any]


def strict_fault(schema: Any) -> str | None:
    """Finds what OpenAI would refuse a schema for.

    Args:
        schema: What came as `response_format.json_schema.schema`.

    Returns:
        The end of OpenAI's sentence `Invalid schema for response_format 'x': ...`, or None if all is well.
    """
    if not isinstance(schema, dict):
        return "schema must be a JSON Schema of 'type: \"object\"', got 'type: \"None\"'."
    if "anyOf" in schema:
        return "schema must not have 'anyOf' at the top level."
    if schema.get("type") != "object":
        return f"schema must be a JSON Schema of 'type: \"object\"', got 'type: \"{schema.get('type')}\"'."
    checker = _Checker(schema)
    return next(checker.faults(schema, (), 1), None) or checker.limit_fault()


class _Checker:
    def __init__(self, root: Schema) -> None:
        self._root = root
        self._properties = 0
        self._characters = 0
        self._enum_values = 0
        self._deepest = 0

    def faults(self, node: Any, path: Path, level: int) -> Iterator[str]:
        if not isinstance(node, dict):
            yield _say(path, "schema must be an object.")
            return
        if "$ref" in node:
            yield from self._reference_faults(node, path)
            return
        types = _types(node)
        yield from self._keyword_faults(node, types, path)
        if not types and not {"anyOf", "enum", "const"} & set(node):
            yield _say(path, "schema must have a 'type' key.")
        yield from self._value_faults(node, types, path)
        for name in ("$defs", "definitions"):
            self._characters += sum(map(len, node.get(name) or ()))
            for key, definition in (node.get(name) or {}).items():
                yield from self.faults(definition, (*path, name, key), level)
        for index, variant in enumerate(node.get("anyOf") or ()):
            yield from self.faults(variant, (*path, "anyOf", str(index)), level)
        if "object" in types:
            yield from self._object_faults(node, path, level)
        if "array" in types:
            self._deepest = max(self._deepest, level)
            if "items" not in node:
                yield _say(path, "array schema missing items.")
            else:
                yield from self.faults(node["items"], (*path, "items"), level + 1)

    def limit_fault(self) -> str | None:
        if self._deepest > MAX_LEVELS:
            return f"{self._deepest} levels of nesting exceeds limit of {MAX_LEVELS}."
        for what, limit, count in (
            ("object properties", MAX_PROPERTIES, self._properties),
            ("enum values", MAX_ENUM_VALUES, self._enum_values),
            ("characters of names and values", MAX_CHARACTERS, self._characters),
        ):
            if count > limit:
                return (
                    f"Expected at most {limit} {what} in total within a single schema when using structured "
                    f"outputs, but received {count}. Consider reducing the number of {what}, or use "
                    "'strict: false' to opt out of structured outputs."
                )
        return None

    def _reference_faults(self, node: Schema, path: Path) -> Iterator[str]:
        others = set(node) - {"$ref"}
        if others:
            yield _say(path, f"$ref cannot have keywords {others!r}.")
        if resolve(self._root, node["$ref"]) is None:
            yield _say(path, f"reference to component '{node['$ref']}' which was not found in the schema.")

    def _keyword_faults(self, node: Schema, types: list[str], path: Path) -> Iterator[str]:
        allowed = _COMMON.union(*(_OF_TYPE.get(name, set()) for name in types))
        if not path:
            allowed |= _AT_ROOT
        for keyword in node:
            if keyword not in allowed:
                yield _say(path, f"'{keyword}' is not permitted.")
        for name in types:
            if name not in _OF_TYPE:
                yield _say(path, f"'{name}' is not a valid type.")
        if "format" in node and node["format"] not in _FORMATS:
            yield _say(path, f"'{node['format']}' is not a valid format.")

    def _value_faults(self, node: Schema, types: list[str], path: Path) -> Iterator[str]:
        values = node.get("enum", [])
        if "const" in node:
            values = [*values, node["const"]]
        if "enum" in node and not node["enum"]:
            yield _say(path, "enum must not be empty.")
        for value in values:
            if types and not any(_is_of(value, name) for name in types):
                yield _say(
                    path, f"enum value {value} does not validate against {{'type': {node['type']!r}}}."
                )
        texts = [len(value) for value in values if isinstance(value, str)]
        self._enum_values += len(node.get("enum", []))
        self._characters += sum(texts)
        if len(values) > LARGE_ENUM_VALUES and sum(texts) > MAX_LARGE_ENUM_CHARACTERS:
            yield _say(
                path, f"enum with more than {LARGE_ENUM_VALUES} values exceeds the limit of characters."
            )

    def _object_faults(self, node: Schema, path: Path, level: int) -> Iterator[str]:
        self._deepest = max(self._deepest, level)
        if node.get("additionalProperties") is not False:
            yield _say(path, "'additionalProperties' is required to be supplied and to be false.")
        properties = node.get("properties", {})
        if not isinstance(properties, dict):
            yield _say(path, "'properties' must be an object.")
            return
        self._properties += len(properties)
        self._characters += sum(map(len, properties))
        required = node.get("required")
        wanted = "'required' is required to be supplied and to be an array including every key in properties."
        if not isinstance(required, list):
            if properties or required is not None:
                yield _say(path, wanted)
            required = []
        for name in properties:
            if name not in required:
                yield _say(path, f"{wanted} Missing '{name}'.")
        for name in required:
            if name not in properties:
                yield _say(path, f"{wanted} Extra required key '{name}' supplied.")
        for name, child in properties.items():
            yield from self.faults(child, (*path, "properties", name), level + 1)


def resolve(root: Schema, reference: Any) -> Schema | None:
    """Follows a reference within a schema.

    Args:
        root: The whole schema.
        reference: Such as `#/$defs/Address`, or `#` for the whole.

    Returns:
        What it points at, or None if there is nothing.
    """
    if not isinstance(reference, str) or not reference.startswith("#"):
        return None
    found: Any = root
    for part in reference.split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        if not isinstance(found, dict) or key not in found:
            return None
        found = found[key]
    return found if isinstance(found, dict) else None


def _types(node: Schema) -> list[str]:
    types = node.get("type", [])
    return [types] if isinstance(types, str) else list(types)


def _is_of(value: object, type_name: str) -> bool:
    if isinstance(value, bool):
        return type_name == "boolean"
    return isinstance(value, _PYTHON_TYPES.get(type_name, ()))


def _say(path: Path, sentence: str) -> str:
    return f"In context={path!r}, {sentence}"
