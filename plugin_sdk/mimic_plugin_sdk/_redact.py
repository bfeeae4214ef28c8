"""Keeps the secrets of connections out of everything that leaves the process for people to read."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from pydantic import BaseModel

REDACTED = "[redacted]"

_secrets: set[str] = set()
_pattern: re.Pattern[str] | None = None
_longest = 0
_LEAST_CHARS = 4


def add_secrets(settings: object) -> None:
    """Redact every secret in some settings from now on, for as long as the process lives.

    Each is also known as it looks inside JSON, inside an address, and in base64.

    Args:
        settings: A pydantic model; what it holds is searched for `SecretStr`, `SecretBytes` and their kin.
    """
    add_values(_secrets_in(settings))


def add_values(values: Iterable[str]) -> None:
    """Redact some texts from now on.

    Args:
        values: The texts. Very short ones are left alone: they stand in every second text by chance.
    """
    global _pattern, _longest  # noqa: PLW0603 - logs, faults and payloads of the process share them
    known = len(_secrets)
    for value in values:
        if len(value) >= _LEAST_CHARS:
            _secrets.update(_forms(value))
    if len(_secrets) == known:
        return
    by_length = sorted(_secrets, key=len, reverse=True)
    _longest = len(by_length[0])
    _pattern = re.compile("|".join(map(re.escape, by_length)))


def redacted(text: str) -> str:
    """Return a text with every secret replaced."""
    return text if _pattern is None else _pattern.sub(REDACTED, text)


def redacted_and_cut(text: str, limit_bytes: int) -> str:
    """Return the beginning of a text with every secret replaced, also one that the cut would have split.

    Args:
        text: The text.
        limit_bytes: Most bytes of UTF-8 that are returned.
    """
    text = redacted(text[: limit_bytes + _longest])
    if len(text) * 4 <= limit_bytes:
        return text
    return text.encode(errors="replace")[:limit_bytes].decode(errors="ignore")


def _forms(value: str) -> set[str]:
    import base64  # noqa: PLC0415 - not needed to start
    import json  # noqa: PLC0415 - not needed to start
    from urllib.parse import quote, quote_plus  # noqa: PLC0415 - not needed to start

    encoded = value.encode(errors="replace")
    return {
        value,
        json.dumps(value)[1:-1],
        json.dumps(value, ensure_ascii=False)[1:-1],
        quote(value, safe=""),
        quote_plus(value),
        base64.b64encode(encoded).decode(),
        base64.urlsafe_b64encode(encoded).decode().rstrip("="),
    }


def _secrets_in(value: Any) -> Iterator[str]:
    reveal = getattr(value, "get_secret_value", None)
    if callable(reveal):
        secret = reveal()
        yield secret.decode(errors="replace") if isinstance(secret, bytes) else str(secret)
    else:
        for inner in _inside(value):
            yield from _secrets_in(inner)


def _inside(value: Any) -> Iterable[Any]:
    if isinstance(value, Mapping):
        return value.values()
    if isinstance(value, list | tuple | set | frozenset):
        return value
    if is_dataclass(value):
        return (getattr(value, field.name) for field in fields(value))
    # Anything else is no place for a secret, and may lead in circles, as an enum's member does.
    return dict(value).values() if isinstance(value, BaseModel) else ()
