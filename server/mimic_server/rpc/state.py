"""Whether the server takes work."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from grpc_health.v1 import health

from mimic_server.domain.errors import UnavailableError

_RETRY_AFTER = timedelta(seconds=2)


class ServerState:
    """Whether the server takes work, for its calls and for those who look at its health.

    A server that goes down first drains: it refuses what begins something and still answers what reads. Once
    its work is done or handed on, it ends the streams of its watchers, who ask another server.

    Attributes:
        health: The servicer of grpc.health.v1.
        draining: True once the server drains.
        streams_ended: True once the streams under way were ended.
    """

    def __init__(self) -> None:
        self.health = health.aio.HealthServicer()
        self.draining = False
        self.streams_ended = False
        self._streams: set[asyncio.Task[Any]] = set()

    async def drain(self) -> None:
        """Begins to refuse new work, and tells so in the health."""
        self.draining = True
        await self.health.enter_graceful_shutdown()

    def end_streams(self) -> None:
        """Ends the streams under way with UNAVAILABLE, so that their readers ask again."""
        self.draining = self.streams_ended = True
        for task in tuple(self._streams):
            task.cancel()

    def check(self, *, reads: bool) -> None:
        """Raises UnavailableError for a call that begins something while the server drains."""
        if self.draining and not reads:
            raise going_down()

    @contextmanager
    def streaming(self) -> Iterator[None]:
        """The current task is a stream that `end_streams` ends."""
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a stream is served by a task")
        self._streams.add(task)
        try:
            yield
        finally:
            self._streams.discard(task)


def going_down() -> UnavailableError:
    """The error of a call that a server that goes down refuses or ends."""
    return UnavailableError(
        "SERVER_DRAINING",
        "the server is going down and takes no new work: try again, or ask another",
        _RETRY_AFTER,
    )
