"""Reads an adapter's stdout or stderr for ever, at a rate that cannot starve the host."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

from mimic_server.host.pace import Pace

_CHUNK_BYTES = 64 * 1024
BYTES_PER_SECOND = 4 * 1024 * 1024
"""Fastest that an adapter may print, in the long run."""
_MOST_LEFT_BYTES = 1024 * 1024


class Pipe:
    """Hands on what a pipe brings. A writer that floods it waits for the host, not the host for it.

    Args:
        descriptor: Our end of the pipe.
        take: Called with each piece.
        ended: Called once: nothing more will come.
    """

    def __init__(
        self, descriptor: int, take: Callable[[bytes], None], ended: Callable[[], None] | None = None
    ) -> None:
        self._descriptor = descriptor
        self._take = take
        self._ended = ended
        self._pace = Pace(BYTES_PER_SECOND, BYTES_PER_SECOND / 4)
        self._loop = asyncio.get_running_loop()
        self._pause: asyncio.TimerHandle | None = None
        os.set_blocking(descriptor, False)
        self._loop.add_reader(descriptor, self._read)

    def finish(self) -> None:
        """Takes what is still in the pipe, bounded, and reads no more."""
        left = _MOST_LEFT_BYTES
        while left > 0 and (count := self._read_once()):
            left -= count
        self._stop()

    def _read(self) -> None:
        count = self._read_once()
        if count and (wait := self._pace.spend(count)):
            self._loop.remove_reader(self._descriptor)
            self._pause = self._loop.call_later(wait, self._go_on)

    def _read_once(self) -> int:
        """Hands on one piece. Returns its length; 0 when there is nothing, or never will be."""
        if self._descriptor < 0:
            return 0
        try:
            data = os.read(self._descriptor, _CHUNK_BYTES)
        except BlockingIOError:
            return 0
        except OSError:
            data = b""
        if data:
            self._take(data)
        else:
            self._stop()
        return len(data)

    def _go_on(self) -> None:
        self._pause = None
        self._loop.add_reader(self._descriptor, self._read)

    def _stop(self) -> None:
        if self._descriptor < 0:
            return
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self._descriptor)
        self._descriptor = -1
        if self._ended is not None:
            self._ended()
