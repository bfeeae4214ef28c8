"""Events out of a stream of bytes: server-sent events, and JSON a line."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

_BOM = b"\xef\xbb\xbf"


class TooLargeError(ValueError):
    """An event is larger than it may be."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event."""

    data: str
    """Its data."""
    name: str = ""
    """Its name, where it is a server-sent event that has one."""


class Decoder(Protocol):
    """Takes bytes as they come, and gives events as they are whole."""

    def feed(self, chunk: bytes) -> Iterator[Event]:
        """Take bytes, and give the events that end in them.

        Args:
            chunk: The next bytes.

        Raises:
            TooLargeError: An event is too large.
        """
        ...

    def end(self) -> Iterator[Event]:
        """Give what the end of the stream makes whole."""
        ...


class _Lines:
    """Lines that end with LF, CRLF or CR, however the bytes were cut."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._rest = b""
        self._after_cr = False
        self._began = False

    def feed(self, chunk: bytes) -> list[bytes]:
        if self._after_cr and chunk:
            self._after_cr = False
            chunk = chunk.removeprefix(b"\n")
        data = self._rest + chunk if self._rest else chunk
        if not self._began:
            if len(data) < len(_BOM) and _BOM.startswith(data):
                self._rest = data
                return []
            self._began = True
            data = data.removeprefix(_BOM)
        if b"\r" in data:
            self._after_cr = data.endswith(b"\r")
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *lines, self._rest = data.split(b"\n")
        if len(self._rest) > self._limit:
            raise TooLargeError(f"a line of more than {self._limit} bytes")
        return lines

    def end(self) -> bytes:
        rest, self._rest = self._rest, b""
        return rest


class EventStreamDecoder:
    """Server-sent events, as the WHATWG HTML standard has them (9.2.6, "Interpreting an event stream").

    An event that lacks only the empty line after it is taken at the end of the stream, for servers that close
    right after their last line.
    """

    def __init__(self, limit: int) -> None:
        """Make one.

        Args:
            limit: Largest event in bytes.
        """
        self._lines = _Lines(limit)
        self._limit = limit
        self._data: list[str] = []
        self._size = 0
        self._name = ""

    def feed(self, chunk: bytes) -> Iterator[Event]:
        for line in self._lines.feed(chunk):
            if line:
                self._take(line)
            else:
                yield from self.end()

    def end(self) -> Iterator[Event]:
        data, name = self._data, self._name
        self._data, self._size, self._name = [], 0, ""
        if data:
            yield Event("\n".join(data), name)

    def _take(self, line: bytes) -> None:
        field, _, value = line.decode(errors="replace").partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            self._size += len(line)
            if self._size > self._limit:
                raise TooLargeError(f"an event of more than {self._limit} bytes")
            self._data.append(value)
        elif field == "event":
            self._name = value


class LinesDecoder:
    """Newline-delimited JSON: each line that is not empty is an event, the last also without its end."""

    def __init__(self, limit: int) -> None:
        """Make one.

        Args:
            limit: Largest line in bytes.
        """
        self._lines = _Lines(limit)
        self._limit = limit

    def feed(self, chunk: bytes) -> Iterator[Event]:
        for line in self._lines.feed(chunk):
            if len(line) > self._limit:
                raise TooLargeError(f"a line of more than {self._limit} bytes")
            if not line.isspace() and line:
                yield Event(line.decode(errors="replace"))

    def end(self) -> Iterator[Event]:
        rest = self._lines.end()
        if rest and not rest.isspace():
            yield Event(rest.decode(errors="replace"))
