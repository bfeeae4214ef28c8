"""Templates of frames and addresses: what is inserted is always made safe for the place where it stands."""

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from json.encoder import encode_basestring
from typing import Any
from urllib.parse import quote

from jinja2 import StrictUndefined, Template, TemplateError, TemplateSyntaxError, Undefined, meta
from jinja2.sandbox import ImmutableSandboxedEnvironment

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
# What RFC 9110 allows in a field's value, but for the percent sign, which escapes all else.
_HEADER_SAFE = "".join(map(chr, range(0x20, 0x7F))).replace("%", "")


class TemplateFaultError(ValueError):
    """A template that is none, or that cannot be filled in."""


class _Done(str):
    """A text that needs no further escaping."""

    __slots__ = ()


def _json(value: Any) -> str:
    if isinstance(value, str):
        return value if isinstance(value, _Done) else encode_basestring(value)
    if isinstance(value, Undefined):
        return str(value)  # raises
    return _encode(value)


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else str(value)


def _inside_string(value: Any) -> _Done:
    return _Done(encode_basestring(_plain(value))[1:-1])


_IN_STRING = "mimic_inside_string"


def _environment(finalize: Callable[[Any], str]) -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined, finalize=finalize, trim_blocks=True, lstrip_blocks=True, autoescape=False
    )
    environment.filters[_IN_STRING] = _inside_string
    return environment


JSON = _environment(_json)
"""Values become JSON; inside of a JSON string, a part of it."""
PLAIN = _environment(_plain)
"""Values stay as they are."""
PATH = _environment(lambda value: quote(_plain(value), safe=""))
"""Values are percent-encoded, slashes too."""
HEADER = _environment(lambda value: quote(_plain(value), safe=_HEADER_SAFE))
"""What a header may not hold is percent-encoded, above all the end of its line."""


class Filled:
    """A template that was checked."""

    __slots__ = ("_constant", "_template", "names")

    names: frozenset[str]
    """The names of values that it asks for."""

    def __init__(
        self,
        source: str,
        environment: ImmutableSandboxedEnvironment,
        known: Collection[str],
    ) -> None:
        """Check a template.

        Args:
            source: The template.
            environment: How values are inserted.
            known: The names that will have values.

        Raises:
            TemplateFaultError: It is none, or asks for a name that is not known; the message says where.
        """
        try:
            parsed = environment.parse(source)
            self.names = frozenset(meta.find_undeclared_variables(parsed))
            if unknown := self.names - set(known):
                raise TemplateFaultError(
                    f"there is no {', '.join(sorted(unknown))}; there are {', '.join(sorted(known))}"
                )
            if environment is JSON:
                source = _with_strings_marked(source, environment)
            template = environment.from_string(source)
        except TemplateSyntaxError as error:
            raise TemplateFaultError(f"line {error.lineno}: {error.message}") from None
        dynamic = "{{" in source or "{%" in source or "{#" in source
        self._template: Template = template
        self._constant = None if dynamic else template.render()

    @property
    def constant(self) -> str | None:
        """What it always gives. None: that depends on the values."""
        return self._constant

    def fill(self, values: Mapping[str, Any]) -> str:
        """Fill it in.

        Args:
            values: A value for each known name.

        Raises:
            TemplateFaultError: It cannot be.
        """
        if self._constant is not None:
            return self._constant
        try:
            return self._template.render(values)
        except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError, RecursionError) as error:
            raise TemplateFaultError(f"{type(error).__name__}: {error}") from None


def _with_strings_marked(source: str, environment: ImmutableSandboxedEnvironment) -> str:
    """Mark the expressions that stand inside of a JSON string, so that they become a part of it."""
    return "".join(_marked(environment.lex(source)))


def _marked(tokens: Iterator[tuple[int, str, str]]) -> Iterator[str]:
    inside = False
    for _, kind, text in tokens:
        if kind == "data":
            inside = _ends_inside(text, inside=inside)
            yield text
        elif inside and kind == "variable_begin":
            yield f"{text} ("
        elif inside and kind == "variable_end":
            yield f") | {_IN_STRING} {text}"
        else:
            yield text


def _ends_inside(text: str, *, inside: bool) -> bool:
    escaped = False
    for char in text:
        if escaped:
            escaped = False
        elif char == "\\":
            escaped = inside
        elif char == '"':
            inside = not inside
    return inside
