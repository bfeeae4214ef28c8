"""Makes an instance of any JSON schema, the same for the same seed, with what a brain suggests in it."""

import json
import math
import random
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from tests.support.openai_server.matching import text_matching
from tests.support.openai_server.strict_schema import Schema, resolve
from tests.support.openai_server.texts import FORMATS, NUMBERS, STRINGS

_DEEPEST = 8
_TEXT_PROPERTIES = ("text", "content", "message", "body")


class _Nothing:
    """No suggestion; None is one, for null."""


NOTHING: Final = _Nothing()


class Either(tuple[Any, ...]):
    """Suggestions of which the first that fits the schema is taken."""

    __slots__ = ()


def instance_of(schema: Schema, seed: int, hints: Mapping[str, Any] | None = None) -> Any:
    """Makes a value that a schema allows.

    Args:
        schema: The schema. What `strict_fault` lets through is met; of other keywords the usual ones.
        seed: Picks among possible values.
        hints: Suggested values by property name, nested like the schema. Each is used where it fits, and
            ignored where it does not.
    """
    return _Maker(schema, seed).make(schema, "", NOTHING if hints is None else hints, 0)


class _Maker:
    def __init__(self, root: Schema, seed: int) -> None:
        self._root = root
        self._random = random.Random(seed)

    def make(self, node: Schema, name: str, hint: Any, depth: int) -> Any:
        """Makes a value for a node.

        Args:
            node: Its schema.
            name: The property that it is the value of, or whose array it is in.
            hint: A suggestion, or NOTHING.
            depth: How many objects and arrays it is in.
        """
        node = self._resolved(node)
        if isinstance(hint, Either):
            hint = next((option for option in hint if self._fits(node, option)), NOTHING)
        if "const" in node:
            return node["const"]
        if "enum" in node:
            return self._one_of(node["enum"], hint)
        if "anyOf" in node or "oneOf" in node:
            return self._variant(node.get("anyOf") or node["oneOf"], name, hint, depth)
        types = _types(node)
        if "null" in types and (hint is None or (depth > _DEEPEST and hint is NOTHING)):
            return None
        kind = self._kind(node, types, hint)
        if kind == "object":
            return self._object(node, hint, depth)
        if kind == "array":
            return self._array(node, name, hint, depth)
        if hint is not NOTHING and _scalar_fits(node, kind, hint):
            return hint
        return self._scalar(node, kind, name)

    def _kind(self, node: Schema, types: Sequence[str], hint: Any) -> str:
        kinds = [kind for kind in types if kind != "null"] or list(types)
        if hint is not NOTHING:
            kinds.sort(key=lambda kind: not self._fits({**node, "type": kind}, hint))
        return kinds[0] if kinds else "string"

    def _resolved(self, node: Schema) -> Schema:
        while "$ref" in node:
            node = resolve(self._root, node["$ref"]) or {}
        return node

    def _one_of(self, values: Sequence[Any], hint: Any) -> Any:
        if hint is not NOTHING:
            for value in values:
                if _same(value, hint):
                    return value
        real = [value for value in values if value is not None]
        return self._random.choice(real or values)

    def _variant(self, variants: Sequence[Schema], name: str, hint: Any, depth: int) -> Any:
        fitting = [variant for variant in variants if hint is not NOTHING and self._fits(variant, hint)]
        if fitting:
            return self.make(fitting[0], name, hint, depth)
        real = [variant for variant in variants if "null" not in _types(self._resolved(variant))]
        if depth > _DEEPEST and len(real) < len(variants):
            return None
        return self.make(self._random.choice(real or list(variants)), name, NOTHING, depth)

    def _object(self, node: Schema, hint: Any, depth: int) -> dict[str, Any]:
        properties = node.get("properties", {})
        if isinstance(hint, str):
            hint = {name: hint for name in _TEXT_PROPERTIES if name in properties}
        hints = hint if isinstance(hint, Mapping) else {}
        return {
            name: self.make(child, name, hints.get(name, NOTHING), depth + 1)
            for name, child in properties.items()
        }

    def _array(self, node: Schema, name: str, hint: Any, depth: int) -> list[Any]:
        lowest = node.get("minItems", 0)
        highest = node.get("maxItems", max(lowest, 3))
        if isinstance(hint, Sequence) and not isinstance(hint, str):
            hints = list(hint)[: node.get("maxItems")]
        else:
            usual = 0 if depth > _DEEPEST else 1 + self._random.randrange(3)
            hints = [NOTHING] * min(max(usual, lowest), highest)
        hints += [NOTHING] * (lowest - len(hints))
        items = node.get("items") or {"type": "string"}
        values = [self.make(items, name, item, depth + 1) for item in hints]
        unique = {json.dumps(value, sort_keys=True): value for value in values}
        return list(unique.values()) if len(unique) >= lowest else values

    def _scalar(self, node: Schema, kind: str, name: str) -> Any:
        match kind:
            case "null":
                return None
            case "boolean":
                return self._random.random() < 0.5
            case "integer" | "number":
                return self._number(node, kind, name)
        return self._string(node, name)

    def _string(self, node: Schema, name: str) -> str:
        if "pattern" in node:
            return text_matching(node["pattern"], self._random)
        if "format" in node:
            return FORMATS.get(node["format"], "")
        known = [text for text in STRINGS.get(name, ()) if _scalar_fits(node, "string", text)]
        if known:
            return self._random.choice(known)
        text = f"{name.replace('_', ' ').strip() or 'text'} {self._random.randrange(1, 100)}"
        return text.ljust(node.get("minLength", 0), ".")[: node.get("maxLength")]

    def _number(self, node: Schema, kind: str, name: str) -> float:
        usual = NUMBERS.get(name, (0, 100))
        step = node.get("multipleOf", 1 if kind == "integer" else 0.01)
        low = node.get("minimum", node.get("exclusiveMinimum"))
        high = node.get("maximum", node.get("exclusiveMaximum"))
        if name in NUMBERS:
            # Within its bounds a number that is known is as it usually is.
            low = usual[0] if low is None or low <= usual[0] else low
            high = usual[1] if high is None or high >= usual[1] else high
        # Without a bound of its own a number takes the usual one, moved to where the other bound lets it be.
        bottom = (
            low if low is not None else usual[0] if high is None or usual[0] < high else high - 100 * step
        )
        top = high if high is not None else usual[1] if usual[1] > bottom else bottom + 100 * step
        first, last = math.ceil(bottom / step - 1e-9), math.floor(top / step + 1e-9)
        if "exclusiveMinimum" in node and first * step <= node["exclusiveMinimum"]:
            first += 1
        if "exclusiveMaximum" in node and last * step >= node["exclusiveMaximum"]:
            last -= 1
        value = self._random.randint(first, max(first, last)) * step
        return int(value) if kind == "integer" else round(value, 6)

    def _fits(self, node: Schema, hint: Any) -> bool:
        node = self._resolved(node)
        if "const" in node:
            return _same(node["const"], hint)
        if "enum" in node:
            return any(_same(value, hint) for value in node["enum"])
        if "anyOf" in node or "oneOf" in node:
            return any(self._fits(variant, hint) for variant in node.get("anyOf") or node["oneOf"])
        types = _types(node)
        if isinstance(hint, Mapping):
            return "object" in types and self._discriminators_fit(node, hint)
        if isinstance(hint, Sequence) and not isinstance(hint, str):
            return "array" in types
        if isinstance(hint, str) and "object" in types:
            return any(name in node.get("properties", {}) for name in _TEXT_PROPERTIES)
        return any(_scalar_fits(node, kind, hint) for kind in types)

    def _discriminators_fit(self, node: Schema, hint: Mapping[str, Any]) -> bool:
        for name, child in node.get("properties", {}).items():
            resolved = self._resolved(child)
            if (
                name in hint
                and ("const" in resolved or "enum" in resolved)
                and not self._fits(resolved, hint[name])
            ):
                return False
        return True


def _types(node: Schema) -> list[str]:
    types = node.get("type")
    if types is None:
        return ["object"] if "properties" in node else ["array"] if "items" in node else ["string"]
    return [types] if isinstance(types, str) else list(types)


def _same(value: object, hint: object) -> bool:
    if isinstance(value, str) and isinstance(hint, str):
        return value.lower() == hint.lower()
    return type(value) is type(hint) and value == hint


def _scalar_fits(node: Schema, kind: str, value: Any) -> bool:
    match kind:
        case "null":
            return value is None
        case "boolean":
            return isinstance(value, bool)
        case "string":
            return (
                isinstance(value, str)
                and node.get("minLength", 0) <= len(value) <= node.get("maxLength", math.inf)
                and ("pattern" not in node or re.search(node["pattern"], value) is not None)
                and "format" not in node
            )
        case "integer" | "number":
            wanted = int if kind == "integer" else (int, float)
            return (
                isinstance(value, wanted)
                and not isinstance(value, bool)
                and node.get("minimum", -math.inf) <= value <= node.get("maximum", math.inf)
                and node.get("exclusiveMinimum", -math.inf) < value < node.get("exclusiveMaximum", math.inf)
                and ("multipleOf" not in node or math.isclose(value % node["multipleOf"], 0, abs_tol=1e-9))
            )
    return False
