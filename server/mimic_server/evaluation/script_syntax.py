"""Starlark scripts: their dialect, and what can be said of one without running it."""

from __future__ import annotations

import re

import starlark

ENTRY = "evaluate"
"""The function that a script defines."""

_FILE = "script"
_WHERE = re.compile(rf"--> {_FILE}:(\d+):(\d+)")
_DEFINED = re.compile(rf"^def\s+{ENTRY}\s*\(", re.MULTILINE)


class ScriptError(ValueError):
    """What is wrong with a script, and in which line and column."""


def check_script(source: str) -> None:
    """Reads a script without running it.

    Raises:
        ScriptError: It is not Starlark, or defines no `evaluate`.
    """
    try:
        parse(source)
    except starlark.StarlarkError as error:
        raise ScriptError(explained(error)) from None
    if not _DEFINED.search(source):
        raise ScriptError(f"line 1: it defines no function {ENTRY}(transcript)")


def parse(source: str) -> starlark.AstModule:
    """A script as it is run. Raises StarlarkError."""
    dialect = starlark.Dialect.extended()
    dialect.enable_f_strings = True
    dialect.enable_load = False
    return starlark.parse(_FILE, source, dialect)


def explained(error: starlark.StarlarkError) -> str:
    """One line: where, and what."""
    text = str(error)
    _, _, after = text.rpartition("error: ")
    problem = after.partition("\n")[0].removeprefix("Parse error: ")
    # The parser lists all that it would have taken, which helps nobody.
    problem = problem.partition(" here, expected one of ")[0][:300]
    where = _WHERE.findall(text)
    return f"line {where[-1][0]}, column {where[-1][1]}: {problem}" if where else problem
