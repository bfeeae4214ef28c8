"""The JSON Schema of an adapter's connection settings: is it one, what are secrets, what would break it.

Not a validator: the kit depends on none. It knows what it needs of draft 2020-12
(https://json-schema.org/draft/2020-12).
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_TYPES = {"null", "boolean", "object", "array", "number", "integer", "string"}
_SECRET = re.compile(r"(^|[_-])(password|passwd|secret|token|api_?key|private_?key)$", re.IGNORECASE)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def _is_pattern(value: Any) -> bool:
    try:
        re.compile(value)
    except (re.error, TypeError):
        return False
    return True


_IN_MAPS = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
_IN_LISTS = ("allOf", "anyOf", "oneOf", "prefixItems")
_ALONE = ("additionalProperties", "items", "contains", "not", "if", "then", "else", "propertyNames")
_SHAPES: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    "$ref": ("text", lambda value: isinstance(value, str)),
    "title": ("text", lambda value: isinstance(value, str)),
    "description": ("text", lambda value: isinstance(value, str)),
    "format": ("text", lambda value: isinstance(value, str)),
    "writeOnly": ("true or false", lambda value: isinstance(value, bool)),
    "enum": ("a list", lambda value: isinstance(value, list)),
    "required": ("a list of names", _is_names),
    "pattern": ("a regular expression", _is_pattern),
    **dict.fromkeys(_IN_MAPS, ("an object of schemas", lambda value: isinstance(value, dict))),
    **dict.fromkeys(_IN_LISTS, ("a list of schemas", lambda value: isinstance(value, list) and bool(value))),
    **dict.fromkeys(
        ("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"),
        ("a whole number of 0 or more", lambda value: _is_number(value) and value >= 0 and value % 1 == 0),
    ),
    **dict.fromkeys(
        ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
        ("a number", _is_number),
    ),
}


class Schema:
    """A settings schema, as far as it can be read."""

    def __init__(self, text: str) -> None:
        try:
            self._root: Any = json.loads(text)
        except ValueError:
            self._root = None

    def faults(self) -> Iterator[str]:
        """Where it is no JSON Schema of an object, a line each."""
        if not isinstance(self._root, dict):
            yield "text that is no JSON object"
            return
        if self._root.get("$schema", _DIALECT).rstrip("#") != _DIALECT:
            yield f"$schema {self._root['$schema']!r}, not {_DIALECT}"
        if self._resolve(self._root).get("type") != "object":
            yield f"type {self._root.get('type')!r} at its root, not 'object'"
        for path, schema in self._walk(self._root, "#"):
            yield from self._faults_at(path, schema)

    def _walk(self, schema: Any, path: str) -> Iterator[tuple[str, Any]]:
        yield path, schema
        if not isinstance(schema, dict):
            return
        for key in _IN_MAPS:
            if isinstance(schema.get(key), dict):
                for name, inner in schema[key].items():
                    yield from self._walk(inner, f"{path}/{key}/{name}")
        for key in _IN_LISTS:
            if isinstance(schema.get(key), list):
                for index, inner in enumerate(schema[key]):
                    yield from self._walk(inner, f"{path}/{key}/{index}")
        for key in _ALONE:
            if key in schema:
                yield from self._walk(schema[key], f"{path}/{key}")

    def _faults_at(self, path: str, schema: Any) -> Iterator[str]:
        if isinstance(schema, bool):
            return
        if not isinstance(schema, dict):
            yield f"{json.dumps(schema)[:60]} at {path}, which is no schema"
            return
        types = schema.get("type", [])
        if not set(types if isinstance(types, list) else [types]) <= _TYPES:
            yield f"type {types!r} at {path}"
        for key, (shape, holds) in _SHAPES.items():
            if key in schema and not holds(schema[key]):
                yield f"{key} at {path} that is not {shape}: {json.dumps(schema[key])[:60]}"
        reference = schema.get("$ref")
        if isinstance(reference, str) and reference.startswith("#") and self._find(reference) is None:
            yield f"$ref {reference!r} at {path}, which leads nowhere"

    def _find(self, reference: str) -> Any:
        found = self._root
        for step in reference.removeprefix("#").removeprefix("/").split("/"):
            if step:
                name = step.replace("~1", "/").replace("~0", "~")
                found = found.get(name) if isinstance(found, dict) else None
        return found

    def _resolve(self, schema: Any) -> Mapping[str, Any]:
        """Follows $ref; what stands beside it counts too. Anything but an object resolves to {}."""
        for _ in range(16):
            if not isinstance(schema, dict) or not isinstance(schema.get("$ref"), str):
                break
            beside = {key: value for key, value in schema.items() if key != "$ref"}
            schema = {**(self._resolve(self._find(schema["$ref"]))), **beside}
        return schema if isinstance(schema, dict) else {}

    @property
    def properties(self) -> Mapping[str, Mapping[str, Any]]:
        """The settings by name, references followed."""
        properties = self._resolve(self._root).get("properties")
        if not isinstance(properties, dict):
            return {}
        return {name: self._resolve(schema) for name, schema in properties.items()}

    @property
    def required(self) -> list[str]:
        """Names of the settings that must be there."""
        required = self._resolve(self._root).get("required")
        return [name for name in required if isinstance(name, str)] if isinstance(required, list) else []

    @property
    def closed(self) -> bool:
        """Whether a setting that it does not name is wrong."""
        return self._resolve(self._root).get("additionalProperties") is False

    def unmarked_secrets(self) -> list[str]:
        """Settings that are text and secrets by their name, yet not marked `writeOnly`."""
        return [
            name
            for name, schema in self.properties.items()
            if (_SECRET.search(name) or schema.get("format") == "password")
            and "string" in self._types(schema)
            and not self._write_only(schema)
        ]

    def _write_only(self, schema: Mapping[str, Any]) -> bool:
        if schema.get("writeOnly") is True:
            return True
        inner = [self._resolve(one) for key in _IN_LISTS for one in schema.get(key, ())]
        return any(self._write_only(one) for one in inner)

    def _types(self, schema: Mapping[str, Any]) -> set[str]:
        """The types that it allows; empty where that cannot be told."""
        types = schema.get("type")
        if types is not None:
            return set(types) if isinstance(types, list) else {types}
        for key in ("anyOf", "oneOf"):
            if isinstance(schema.get(key), list):
                each = [self._types(self._resolve(one)) for one in schema[key]]
                return set().union(*each) if all(each) else set()
        values = schema.get("enum", [schema["const"]] if "const" in schema else [])
        return {"string"} if values and all(isinstance(value, str) for value in values) else set()

    @property
    def has_secrets(self) -> bool:
        """Whether it marks any setting, at any depth, as a secret."""
        walked = self._walk(self._root, "#")
        return any(isinstance(one, dict) and one.get("writeOnly") is True for _, one in walked)

    def secrets(self, settings: Any) -> list[str]:
        """Every text of `settings` that stands where the schema marks a secret, at any depth."""
        return list(dict.fromkeys(self._secrets(self._resolve(self._root), settings, inside=False)))

    def _secrets(self, schema: Mapping[str, Any], value: Any, *, inside: bool) -> Iterator[str]:
        inside = inside or schema.get("writeOnly") is True
        if isinstance(value, str):
            if inside:
                yield value
        elif isinstance(value, Mapping):
            others = self._resolve(schema.get("additionalProperties"))
            for name, one in value.items():
                known = (schema.get("properties") or {}).get(name)
                yield from self._secrets(self._resolve(known) if known else others, one, inside=inside)
        elif isinstance(value, list):
            items = self._resolve(schema.get("items"))
            for one in value:
                yield from self._secrets(items, one, inside=inside)
        for key in _IN_LISTS[:3]:
            for one in schema.get(key) or ():
                yield from self._secrets(self._resolve(one), value, inside=inside)

    def wrong_values(self) -> Mapping[str, Any]:
        """A value of a wrong type for each setting whose types can be told and leave one out."""
        wrong: dict[str, Any] = {}
        for name, schema in self.properties.items():
            types = self._types(schema)
            if types and "object" not in types:
                wrong[name] = {"wrong": "type"}
            elif types and not types & {"array", "number", "integer", "string", "boolean"}:
                wrong[name] = 12345
        return wrong
