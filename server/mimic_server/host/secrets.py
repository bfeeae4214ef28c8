"""Secrets of connections: found by the manifest's schema, and kept out of what people read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

from mimic_server.domain.adapters import AdapterLogLine

REDACTED = "[redacted]"
_LEAST_CHARS = 4
"""Shorter ones are no secrets worth the name, and would tear holes into every line."""


def secrets_in(settings: Mapping[str, Any], schema_json: str) -> set[str]:
    """The values of some settings that the schema marks `"writeOnly": true`, at whatever depth."""
    try:
        schema = json.loads(schema_json or "{}")
    except (ValueError, RecursionError):
        return set()
    found = _marked(settings, schema, schema if isinstance(schema, dict) else {}, 0)
    return {value for value in found if len(value) >= _LEAST_CHARS}


def _marked(value: Any, schema: Any, root: dict[str, Any], depth: int) -> Iterator[str]:
    if not isinstance(schema, dict) or depth > 20:
        return
    if schema.get("writeOnly") is True:
        yield from _leaves(value)
        return
    for inner in _applied(schema, root):
        yield from _marked(value, inner, root, depth + 1)
    if isinstance(value, Mapping):
        properties = schema.get("properties", {})
        for name, one in value.items():
            known = properties.get(name) if isinstance(properties, dict) else None
            of_it = schema.get("additionalProperties") if known is None else known
            yield from _marked(one, of_it, root, depth + 1)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _marked(one, schema.get("items"), root, depth + 1)


def _applied(schema: dict[str, Any], root: dict[str, Any]) -> Iterator[Any]:
    reference = schema.get("$ref")
    if isinstance(reference, str) and reference.startswith("#/"):
        target: Any = root
        for step in reference[2:].split("/"):
            target = target.get(step) if isinstance(target, dict) else None
        yield target
    for keyword in ("anyOf", "oneOf", "allOf"):
        inner = schema.get(keyword)
        if isinstance(inner, list):
            yield from inner


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from _leaves(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _leaves(one)


class Redactor:
    """Takes the secrets of an adapter's connections out of texts."""

    def __init__(self) -> None:
        self._secrets: dict[UUID, set[str]] = {}
        self._pattern: re.Pattern[str] | None = None

    def learn(self, connection_id: UUID, secrets: Iterable[str]) -> None:
        """Redacts a connection's secrets from now on; those of its earlier settings too, as logs may lag."""
        known = self._secrets.setdefault(connection_id, set())
        forms = {form for secret in secrets for form in (secret, json.dumps(secret)[1:-1])}
        if not forms <= known:
            known |= forms
            self._compile()

    def forget(self, connection_id: UUID) -> None:
        """Redacts a connection's secrets no more."""
        if self._secrets.pop(connection_id, None):
            self._compile()

    def text(self, text: str) -> str:
        """A text with every secret replaced."""
        return text if self._pattern is None else self._pattern.sub(REDACTED, text)

    def line(self, line: AdapterLogLine) -> AdapterLogLine:
        """A log line with every secret replaced."""
        if self._pattern is None:
            return line
        fields = tuple((name, self.text(value)) for name, value in line.fields)
        return replace(line, message=self.text(line.message), fields=fields)

    def _compile(self) -> None:
        every = {secret for secrets in self._secrets.values() for secret in secrets}
        longest_first = sorted(every, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None
