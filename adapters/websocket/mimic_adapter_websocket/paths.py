"""JSONPath, as far as possible without a library: most paths only name a way through objects and arrays."""

import re
from collections.abc import Sequence
from typing import Any, TypeAlias

from jsonpath import JSONPathEnvironment
from jsonpath.exceptions import JSONPathError

Key: TypeAlias = str | int

_STEP = re.compile(r"\.([A-Za-z_][\w-]*)|\[(\d+)\]|\['([^'\\]+)'\]|\[\"([^\"\\]+)\"\]", re.ASCII)
_environment = JSONPathEnvironment()


class PathError(ValueError):
    """A path that is none."""


class DataError(ValueError):
    """Data that is too deep to be searched."""


class Path:
    """A path that was checked."""

    __slots__ = ("_first", "_ways", "source")

    def __init__(self, source: str) -> None:
        """Check a path.

        Args:
            source: JSONPath (RFC 9535) that begins with `$`; several, with ` | ` between them, for what all
                of them match, in their order.

        Raises:
            PathError: It is none; the message says where.
        """
        self.source = source
        self._ways = [_Way(part, start) for start, part in _parts(source)]
        only = self._ways[0]
        self._first = only.keys if len(self._ways) == 1 and only.rest is None else None

    def all(self, data: Any) -> list[Any]:
        """Return what it matches, in order.

        Args:
            data: Where to look.

        Raises:
            DataError: The data is too deep.
        """
        if self._first is not None:
            data = _walk(data, self._first)
            return [] if data is _NOWHERE else [data]
        return [match for way in self._ways for match in way.all(data)]

    def first(self, data: Any) -> Any:
        """Return its first match that is not null. Returns None if there is none.

        Args:
            data: Where to look.

        Raises:
            DataError: The data is too deep.
        """
        if self._first is not None:
            data = _walk(data, self._first)
            return None if data is _NOWHERE else data
        return next((match for match in self.all(data) if match is not None), None)

    def telling(self, data: Any) -> Any:
        """Return its first match that is not null, false or empty. Returns None if there is none.

        Args:
            data: Where to look.

        Raises:
            DataError: The data is too deep.
        """
        return next((match for match in self.all(data) if match not in (None, False, "")), None)

    def holds(self, data: Any) -> bool:
        """Return whether a match is other than null, false, 0 and empty; `$` always is.

        Args:
            data: Where to look.

        Raises:
            DataError: The data is too deep.
        """
        return self._first == [] or any(self.all(data))

    def leads_somewhere(self, data: Any) -> bool:
        """Return whether there is what it searches through, though it may match nothing in there.

        `$.messages[*]` leads somewhere in `{"messages": []}`, and nowhere in `{}`.

        Args:
            data: Where to look.
        """
        return any(way.start(data) is not _NOWHERE for way in self._ways)


_NOWHERE = object()


def _walk(data: Any, keys: Sequence[Key]) -> Any:
    for key in keys:
        if data.__class__ is str:
            return _NOWHERE
        try:
            data = data[key]
        except (KeyError, IndexError, TypeError):
            return _NOWHERE
    return data


class _Way:
    """One of a path's alternatives: plain steps, then what takes the library."""

    __slots__ = ("keys", "rest")

    def __init__(self, source: str, offset: int) -> None:
        if not source.startswith("$"):
            raise PathError(f"character {offset + 1}: a path begins with $")
        try:
            _environment.compile(source)
        except JSONPathError as error:
            at = offset + (len(source) if error.token is None or error.token.index < 0 else error.token.index)
            raise PathError(f"character {at + 1}: {error.message}") from None
        keys: list[Key] = []
        end = 1
        while step := _STEP.match(source, end):
            name, index, single, double = step.groups()
            keys.append(int(index) if index is not None else name or single or double)
            end = step.end()
        rest = source[end:].rstrip()
        if "$" in rest:
            keys, rest = [], source[1:]
        self.keys = keys
        self.rest = _environment.compile(f"${rest}") if rest else None

    def start(self, data: Any) -> Any:
        return _walk(data, self.keys)

    def all(self, data: Any) -> Sequence[Any]:
        data = self.start(data)
        if data is _NOWHERE:
            return ()
        if self.rest is None:
            return (data,)
        if not isinstance(data, dict | list):
            return ()
        try:
            return self.rest.findall(data)
        except (JSONPathError, RecursionError) as error:
            raise DataError(f"{self.rest}: {type(error).__name__}") from None


def _parts(source: str) -> list[tuple[int, str]]:
    """Split at the ` | ` that stand outside of brackets. Returns each part with where it begins."""
    parts = []
    start = depth = 0
    quote = ""
    for at, char in enumerate(source):
        if quote:
            if char == quote and source[at - 1] != "\\":
                quote = ""
        elif char in "'\"":
            quote = char
        elif char in "[(":
            depth += 1
        elif char in "])":
            depth -= 1
        elif char == "|" and not depth and source[at - 1 : at + 2] == " | ":
            parts.append((start, source[start : at - 1]))
            start = at + 2
    parts.append((start, source[start:]))
    return parts
