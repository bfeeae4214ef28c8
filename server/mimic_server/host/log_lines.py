"""Lines of an adapter's stderr: cut out of a stream of bytes, and read without ever failing."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

from mimic_server.domain.adapters import AdapterLogLine
from mimic_server.host.texts import sound

LEVELS = ("trace", "debug", "info", "warn", "error")
_LINE_BYTES = 32 * 1024
_MESSAGE_CHARS = 8 * 1024
_FIELD_CHARS = 8 * 1024
_MOST_FIELDS = 32
_PREFIX = re.compile(r"\s*\[?(TRACE|DEBUG|INFO|WARN|WARNING|ERR|ERROR|CRITICAL|FATAL)\]?[:\s]\s*")
_LEVEL_OF = {level.upper(): level for level in LEVELS} | {
    "WARNING": "warn",
    "ERR": "error",
    "CRITICAL": "error",
    "FATAL": "error",
}


class LineSplitter:
    """Cuts bytes into lines in bounded memory: what exceeds a line's limit is dropped and marked."""

    def __init__(self) -> None:
        self._rest = b""
        self._cutting = False

    def feed(self, data: bytes) -> list[bytes]:
        """Takes bytes. Returns the lines that they complete, without their ends."""
        *lines, rest = data.split(b"\n")
        if lines:
            if self._cutting:
                lines[0] = self._rest
            elif self._rest:
                lines[0] = _cut(self._rest + lines[0])
            self._rest, self._cutting = b"", False
            lines[1:] = map(_cut, lines[1:])
        if not self._cutting:
            self._rest += rest
            if len(self._rest) > _LINE_BYTES:
                self._rest, self._cutting = _cut(self._rest), True
        return lines

    def finish(self) -> list[bytes]:
        """Returns the last line, if its end never came."""
        rest, self._rest, self._cutting = self._rest, b"", False
        return [rest] if rest else []


def _cut(line: bytes) -> bytes:
    return line if len(line) <= _LINE_BYTES else line[:_LINE_BYTES] + b" [cut]"


def read_line(channel: str, line: bytes) -> AdapterLogLine:
    """Reads a line: hashicorp/go-hclog's JSON form, else text whose prefix may tell a level.

    Never fails: what cannot be read keeps its text.
    """
    if line.startswith(b"{"):
        try:
            values = json.loads(line)
        except (ValueError, RecursionError):
            pass
        else:
            return _of_values(channel, values)
    text = line.decode(errors="replace").rstrip("\r")
    level = "debug"
    if prefix := _PREFIX.match(text):
        level, text = _LEVEL_OF[prefix[1]], text[prefix.end() :]
    return AdapterLogLine(channel, level, text[:_MESSAGE_CHARS], datetime.now(UTC))


def _of_values(channel: str, values: dict[str, Any]) -> AdapterLogLine:
    level = str(values.pop("@level", "info")).lower()
    message = _text(values.pop("@message", ""), _MESSAGE_CHARS)
    time = _moment(values.pop("@timestamp", None))
    session_id = _text(values.pop("session_id", ""), 64)
    fields = tuple(
        (_text(key, 100), _text(value, _FIELD_CHARS)) for key, value in list(values.items())[:_MOST_FIELDS]
    )
    level = level if level in LEVELS else _LEVEL_OF.get(level.upper(), "debug")
    return AdapterLogLine(channel, level, message, time, session_id, fields)


def _text(value: Any, most_chars: int) -> str:
    if not isinstance(value, str):
        try:
            value = json.dumps(value)
        except RecursionError:
            value = "[nested too deeply]"
    return sound(value[:most_chars])


def _moment(value: Any) -> datetime:
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return datetime.now(UTC)
    try:
        return moment.astimezone(UTC)
    except (OverflowError, ValueError):
        return datetime.now(UTC)
