"""An adapter's log as the host keeps it: the last lines, and whoever follows them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime

from mimic_server.domain.adapters import AdapterLogLine
from mimic_server.host.log_lines import LEVELS, LineSplitter, read_line
from mimic_server.host.pace import Pace
from mimic_server.host.secrets import Redactor
from mimic_server.host.settings import Limits

_TELL_DROPPED_SECONDS = 1.0
_HOSTS = ("stream", "host")
"""Field of the lines that the host wrote."""


class LogBook:
    """The log of one adapter, over all its processes.

    Args:
        channel: The adapter's channel.
        limits: How many lines are kept, and how many a second.
        redactor: Takes secrets out of every line.
        on_line: Called with each line that is kept.
    """

    def __init__(
        self,
        channel: str,
        limits: Limits,
        redactor: Redactor,
        on_line: Callable[[AdapterLogLine], None] | None = None,
    ) -> None:
        self.channel = channel
        self._most = limits.log_ring_lines
        self._lines: deque[AdapterLogLine] = deque(maxlen=self._most)
        self._pace = Pace(limits.log_lines_per_second, limits.log_lines_per_second * 4)
        self._rate = limits.log_lines_per_second
        self._redactor = redactor
        self._on_line = on_line
        self._followers: set[_Follower] = set()
        self._dropped = 0
        self._telling: asyncio.TimerHandle | None = None
        self._closed = False
        self.added = 0
        """Lines that were ever added."""

    def note(self, level: str, message: str, session_id: str = "") -> None:
        """Adds a line of the host's own."""
        self._add(AdapterLogLine(self.channel, level, message, datetime.now(UTC), session_id, (_HOSTS,)))

    def redact(self, text: str) -> str:
        """A text with the secrets of the adapter's connections replaced."""
        return self._redactor.text(text)

    def take(self, lines: list[bytes], stream: str = "") -> None:
        """Adds lines as the adapter wrote them; more than the rate allows are dropped, and their number told.

        Args:
            lines: The lines.
            stream: Kept as a field of each line where it is not stderr.
        """
        for index, line in enumerate(lines):
            if not self._pace.afford(1):
                self._dropped += len(lines) - index
                if self._telling is None:
                    loop = asyncio.get_running_loop()
                    self._telling = loop.call_later(_TELL_DROPPED_SECONDS, self._tell_dropped)
                return
            if line.strip():
                read = read_line(self.channel, line)
                self._add(replace(read, fields=(("stream", stream), *read.fields)) if stream else read)

    def last(self, count: int, since: int) -> list[str]:
        """The text of the newest lines that the adapter wrote, the first `since` of `added` left out."""
        newer = list(self._lines)[-max(self.added - since, 0) :] if self.added > since else []
        return [line.message for line in newer if _HOSTS not in line.fields][-count:]

    def read(self, *, follow: bool, level: str) -> AsyncIterator[AdapterLogLine]:
        """The lines that are kept, then each new one if asked.

        A follower that lags by more than are kept loses the oldest, and is told.

        Args:
            follow: Whether to go on with new lines until the host closes.
            level: The least level; one that there is not means every level.
        """
        least = LEVELS.index(level) if level in LEVELS else 0
        wanted = frozenset(LEVELS[least:])
        follower = _Follower(wanted, self._most, self.channel)
        for line in self._lines:
            follower.offer(line)
        if follow and not self._closed:
            self._followers.add(follower)
        else:
            follower.end()
        return self._iterate(follower)

    async def _iterate(self, follower: _Follower) -> AsyncIterator[AdapterLogLine]:
        try:
            while (line := await follower.next()) is not None:
                yield line
        finally:
            self._followers.discard(follower)

    def close(self) -> None:
        """Ends every follower once it has read what is there."""
        self._closed = True
        if self._telling is not None:
            self._telling.cancel()
            self._tell_dropped()
        for follower in self._followers:
            follower.end()

    def _tell_dropped(self) -> None:
        self._telling = None
        count, self._dropped = self._dropped, 0
        self.note("warn", f"{count} lines dropped: the adapter logs more than {self._rate} lines a second")

    def _add(self, line: AdapterLogLine) -> None:
        line = self._redactor.line(line)
        self._lines.append(line)
        self.added += 1
        for follower in self._followers:
            follower.offer(line)
        if self._on_line is not None:
            self._on_line(line)


class _Follower:
    """A bounded queue of lines to one reader."""

    def __init__(self, levels: frozenset[str], most: int, channel: str) -> None:
        self._levels = levels
        self._lines: deque[AdapterLogLine] = deque(maxlen=most)
        self._channel = channel
        self._lost = 0
        self._ended = False
        self._something = asyncio.Event()

    def offer(self, line: AdapterLogLine) -> None:
        if line.level in self._levels:
            if len(self._lines) == self._lines.maxlen:
                self._lost += 1
            self._lines.append(line)
            self._something.set()

    def end(self) -> None:
        self._ended = True
        self._something.set()

    async def next(self) -> AdapterLogLine | None:
        """The next line. Returns None at the end."""
        while not self._lines:
            if self._ended:
                return None
            self._something.clear()
            await self._something.wait()
        if self._lost:
            text = f"{self._lost} lines lost here: this reader is slower than the log"
            self._lost = 0
            return AdapterLogLine(self._channel, "warn", text, datetime.now(UTC))
        return self._lines.popleft()


class LineFeed:
    """Cuts what a pipe brings into lines of a log."""

    def __init__(self, book: LogBook, stream: str = "") -> None:
        self._book = book
        self._stream = stream
        self._splitter = LineSplitter()

    def feed(self, data: bytes) -> None:
        """Takes bytes."""
        self._book.take(self._splitter.feed(data), self._stream)

    def finish(self) -> None:
        """Takes what is left without a line end."""
        self._book.take(self._splitter.finish(), self._stream)
