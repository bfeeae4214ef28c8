"""Texts that adapters hand over, made fit for one line of a report."""

from __future__ import annotations

_MOST_CHARS = 1000


def one_line(text: str, most_chars: int = _MOST_CHARS) -> str:
    """A text on one line, without control characters, cut where it is too long."""
    text = text[: most_chars * 2]
    if not text.isprintable():
        text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return text if len(text) <= most_chars else text[: most_chars - 1] + "…"


def sound(text: str) -> str:
    """A text that every encoder takes: what JSON calls a lone surrogate is replaced."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
