"""Regular expressions on RE2: linear in the text, whatever the expression."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import re2

MAX_PROGRAM = 5000
"""Instructions that an expression may compile to. The worst of them takes 10 us for each byte of text."""
MAX_MATCHES = 1000
"""Matches that are looked for in one message."""


class PatternError(ValueError):
    """The expression is not one that RE2 takes.

    Attributes:
        position: The character where the trouble begins, counted from 1.
        problem: What it is.
    """

    def __init__(self, position: int, problem: str) -> None:
        super().__init__(f"character {position}: {problem}")
        self.position = position
        self.problem = problem


class Pattern:
    """A compiled expression."""

    __slots__ = ("_regexp",)

    def __init__(self, source: str) -> None:
        """Compiles an expression.

        Raises:
            PatternError: It is wrong, or too large.
        """
        try:
            self._regexp = _compiled(source)
        except UnicodeEncodeError as error:
            raise PatternError(error.start + 1, "not a character of Unicode") from None
        except re2.error as error:
            raise _explained(error.args[0].decode(errors="replace"), source) from None
        if self._regexp.programsize > MAX_PROGRAM:
            raise PatternError(1, "the expression is too large; use fewer or smaller repetitions")

    def found_in(self, text: str) -> bool:
        """Whether it matches anywhere in a text."""
        return self._regexp.search(text.encode(errors="replace")) is not None

    def matches(self, text: str) -> Iterator[str]:
        """What it matches in a text, from left to right, `MAX_MATCHES` at most."""
        found = itertools.islice(self._regexp.finditer(text.encode(errors="replace")), MAX_MATCHES)
        return (match.group().decode(errors="replace") for match in found)


def _compiled(source: str) -> Any:
    options = re2.Options()
    options.log_errors = False
    return re2.compile(source.encode(), options)  # type: ignore[no-untyped-call]


def _explained(message: str, source: str) -> PatternError:
    """RE2 names the problem and the piece of the expression that has it; this finds where that piece is."""
    problem, _, piece = message.partition(": ")
    if problem in {"missing )", "unexpected )"}:
        return PatternError(_unmatched(source) + 1, problem)
    if problem.startswith("trailing"):
        return PatternError(len(source), "a \\ with nothing after it")
    if not piece or piece not in source:
        return PatternError(1, problem)
    at = source.find(piece)
    while at != -1:
        # The same characters may be harmless earlier, where they are escaped or in a class.
        if _problem_of(source[: at + len(piece)]) == problem:
            break
        at = source.find(piece, at + 1)
    return PatternError(max(at, source.find(piece) if at == -1 else at) + 1, f"{problem}: {piece[:40]}")


def _problem_of(source: str) -> str:
    try:
        _compiled(source)
    except re2.error as error:
        problem: str = error.args[0].decode(errors="replace").partition(": ")[0]
        return problem
    return ""


def _unmatched(source: str) -> int:
    """Where the parenthesis is that has no partner."""
    opened: list[int] = []
    at, end = 0, len(source)
    while at < end:
        if source.startswith("\\Q", at):
            closing = source.find("\\E", at + 2)
            at = end if closing == -1 else closing + 2
            continue
        match source[at]:
            case "\\":
                at += 1
            case "[":
                at = _end_of_class(source, at)
            case "(":
                opened.append(at)
            case ")" if opened:
                opened.pop()
            case ")":
                return at
        at += 1
    return opened[-1] if opened else 0


def _end_of_class(source: str, at: int) -> int:
    at += 2 if source.startswith("[^", at) else 1
    at += 1 if source.startswith("]", at) else 0
    while at < len(source) and source[at] != "]":
        if source.startswith("[:", at) and (named := source.find(":]", at)) != -1:
            at = named + 1
        at += 2 if source[at] == "\\" else 1
    return at
