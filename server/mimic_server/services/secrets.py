"""Secrets in a connection's settings: what the adapter's schema marks `writeOnly` never leaves the server."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mimic_server.domain.errors import InvalidInputError, Violation

STORED = "[stored]"
"""What a secret reads in answers. Given back in a change, it keeps the secret."""

_DEPTH = 32
"""How far references of a schema are followed: a schema may refer to itself."""


class SecretSchema:
    """Which of a connection's settings are secrets.

    Args:
        schema_json: The adapter's JSON Schema of its settings. None: unknown, so everything is a secret.
    """

    def __init__(self, schema_json: str | None) -> None:
        self._root = _loaded(schema_json)

    def hide(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """The settings with secrets as `[stored]`."""
        hidden = self._hide(settings, [self._root])
        return hidden if isinstance(hidden, dict) else {}

    def _hide(self, value: Any, schemas: Sequence[Any]) -> Any:
        applied = [s for schema in schemas for s in self._resolved(schema, _DEPTH)]
        if any(s.get("writeOnly") is True for s in applied):
            return (
                STORED if value not in (None, "") and not isinstance(value, Mapping) else self._blank(value)
            )
        if isinstance(value, Mapping):
            return {name: self._hide(item, list(_of_property(applied, name))) for name, item in value.items()}
        if isinstance(value, list | tuple):
            return [self._hide(item, list(_of_item(applied, i))) for i, item in enumerate(value)]
        return value

    def _blank(self, value: Any) -> Any:
        if isinstance(value, Mapping):
            return {name: self._blank(item) for name, item in value.items()}
        return value if value in (None, "") else STORED

    def _resolved(self, schema: Any, depth: int) -> Iterator[Mapping[str, Any]]:
        """A schema and all that it refers to or is put together from."""
        if not isinstance(schema, Mapping) or depth == 0:
            return
        yield schema
        reference = schema.get("$ref")
        if isinstance(reference, str) and reference.startswith("#"):
            yield from self._resolved(self._at(reference), depth - 1)
        for word in ("allOf", "anyOf", "oneOf"):
            for part in schema.get(word) or ():
                yield from self._resolved(part, depth - 1)
        for word in ("if", "then", "else"):
            yield from self._resolved(schema.get(word), depth - 1)

    def _at(self, reference: str) -> Any:
        found: Any = self._root
        for step in reference.removeprefix("#").split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            found = found.get(name) if isinstance(found, Mapping) else None
        return found


def restored(given: Mapping[str, Any], stored: Mapping[str, Any], at: str) -> dict[str, Any]:
    """Settings with each `[stored]` as what is stored in its place.

    Args:
        given: Settings as the caller wrote them.
        stored: Settings as they are stored. Empty: nothing is stored yet.
        at: Path of the settings in the caller's request.

    Raises:
        InvalidInputError: A `[stored]` where nothing is stored.
    """
    missing: list[Violation] = []
    found = _restore(given, stored, at, missing)
    if missing:
        raise InvalidInputError(missing)
    return dict(found)


def _restore(given: Any, stored: Any, at: str, missing: list[Violation]) -> Any:
    if given == STORED:
        if stored is None:
            missing.append(Violation(at, f'no value is stored here yet: give it instead of "{STORED}"'))
        return stored
    if isinstance(given, Mapping):
        old = stored if isinstance(stored, Mapping) else {}
        return {n: _restore(v, old.get(n), f"{at}.{n}", missing) for n, v in given.items()}
    if isinstance(given, list | tuple):
        olds = stored if isinstance(stored, list | tuple) else ()
        return [
            _restore(v, olds[i] if i < len(olds) else None, f"{at}[{i}]", missing)
            for i, v in enumerate(given)
        ]
    return given


def _loaded(schema_json: str | None) -> Any:
    """The schema; where there is none, or it is none, one that makes everything a secret."""
    try:
        schema = json.loads(schema_json) if schema_json is not None else None
    except ValueError:
        schema = None
    return schema if isinstance(schema, Mapping) else {"writeOnly": True}


def _of_property(schemas: Sequence[Mapping[str, Any]], name: str) -> Iterator[Any]:
    for schema in schemas:
        named = schema.get("properties")
        if isinstance(named, Mapping) and name in named:
            yield named[name]
        patterns = schema.get("patternProperties")
        if isinstance(patterns, Mapping):
            # Which pattern fits is not asked: to hide too much is safe.
            yield from patterns.values()
        yield schema.get("additionalProperties")


def _of_item(schemas: Sequence[Mapping[str, Any]], index: int) -> Iterator[Any]:
    for schema in schemas:
        prefix = schema.get("prefixItems")
        if isinstance(prefix, list) and index < len(prefix):
            yield prefix[index]
        yield schema.get("items")
