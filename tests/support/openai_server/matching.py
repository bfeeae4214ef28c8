"""Makes texts that match a regular expression."""

import random
import re
import string

# The standard library has this parser but no public name for it.
from re import _constants as op  # type: ignore[attr-defined]
from re import _parser  # type: ignore[attr-defined]
from typing import Any

_PRINTABLE = string.ascii_letters + string.digits + " -_.,!?:/@#"
_CATEGORIES = {
    op.CATEGORY_DIGIT: string.digits,
    op.CATEGORY_WORD: string.ascii_lowercase + string.digits + "_",
    op.CATEGORY_SPACE: " ",
    op.CATEGORY_NOT_DIGIT: string.ascii_lowercase,
    op.CATEGORY_NOT_WORD: " -",
    op.CATEGORY_NOT_SPACE: string.ascii_lowercase,
}


def text_matching(pattern: str, chance: random.Random) -> str:
    """Makes a text that a pattern matches.

    Args:
        pattern: A regular expression, without look-around.
        chance: Picks among possible texts.

    Raises:
        ValueError: The pattern has something that this cannot follow.
    """
    text = _sequence(_parser.parse(pattern), chance)
    if re.search(pattern, text) is None:
        message = f"cannot make a text for the pattern {pattern!r}"
        raise ValueError(message)
    return text


def _sequence(items: Any, chance: random.Random) -> str:
    return "".join(_item(code, value, chance) for code, value in items)


def _item(code: Any, value: Any, chance: random.Random) -> str:
    if code is op.LITERAL:
        return chr(value)
    if code is op.NOT_LITERAL:
        return next(letter for letter in "ax" if ord(letter) != value)
    if code is op.ANY:
        return chance.choice(string.ascii_lowercase)
    if code is op.IN:
        return chance.choice(_set(value))
    if code in {op.MAX_REPEAT, op.MIN_REPEAT}:
        low, high, inner = value
        times = chance.randint(low, min(high, low + 5))
        return "".join(_sequence(inner, chance) for _ in range(times))
    if code is op.SUBPATTERN:
        return _sequence(value[-1], chance)
    if code is op.BRANCH:
        return _sequence(chance.choice(value[1]), chance)
    return ""


def _set(members: Any) -> str:
    letters = ""
    for code, value in members:
        if code is op.LITERAL:
            letters += chr(value)
        elif code is op.RANGE:
            letters += "".join(chr(point) for point in range(value[0], min(value[1], value[0] + 128) + 1))
        elif code is op.CATEGORY:
            letters += _CATEGORIES[value]
    if members[0][0] is op.NEGATE:
        return "".join(letter for letter in _PRINTABLE if letter not in letters)
    return letters
