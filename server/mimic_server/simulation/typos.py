"""Slips of the finger: neighbouring keys, swapped, dropped and doubled letters.

A word is left alone where a slip would change what it means to a program: anything with a digit, an address,
a code in capitals. So is every script without capitals, in which a key is not a letter.
"""

from __future__ import annotations

import random
import re

_WORD = re.compile(r"\S+")
_NEIGHBOURS = {
    "a": "qsz", "b": "vn", "c": "xv", "d": "sf", "e": "wr", "f": "dg", "g": "fh", "h": "gj", "i": "uo",
    "j": "hk", "k": "jl", "l": "ko", "m": "n", "n": "bm", "o": "ip", "p": "o", "q": "wa", "r": "et",
    "s": "ad", "t": "ry", "u": "yi", "v": "cb", "w": "qe", "x": "zc", "y": "tu", "z": "xs",
}  # fmt: skip
_MIN_LETTERS = 3


def with_typos(text: str, rate: float, draws: random.Random) -> str:
    """A text in which each word has a slip with the chance `rate`."""

    def typed(match: re.Match[str]) -> str:
        word = match.group()
        return _slip(word, draws) if draws.random() < rate else word

    return _WORD.sub(typed, text)


def _slip(word: str, draws: random.Random) -> str:
    start, end = 0, len(word)
    while start < end and not word[start].isalnum():
        start += 1
    while end > start and not word[end - 1].isalnum():
        end -= 1
    core = word[start:end]
    if len(core) < _MIN_LETTERS or not _is_plain(core):
        return word
    # Never the first letter: people get it right, and readers need it.
    at = draws.randrange(1, len(core))
    letter, kind = core[at], draws.randrange(4)
    if kind == 0 and letter.lower() in _NEIGHBOURS:
        other = draws.choice(_NEIGHBOURS[letter.lower()])
        core = core[:at] + other + core[at + 1 :]
    elif kind == 1 and at > 1 and core[at - 1] != letter:
        core = core[: at - 1] + letter + core[at - 1] + core[at + 1 :]
    elif kind == 2:
        core = core[:at] + core[at + 1 :]
    else:
        core = core[:at] + letter + core[at:]
    return word[:start] + core + word[end:]


def _is_plain(core: str) -> bool:
    return core[1:].islower() and all(c.isalpha() and c.lower() != c.upper() for c in core)
