"""The reins of a running session: what people ask of it while it runs, in the process that runs it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from mimic_server.domain.ids import MessageId
from mimic_server.domain.messages import Message, Part
from mimic_server.domain.sessions import Session


@dataclass(slots=True)
class SpokenByPerson:
    """Something that a person says in the persona's place."""

    id: MessageId
    parts: tuple[Part, ...]
    stored: asyncio.Future[Message]
    """Resolved with the message once it is stored."""


class Control:
    """The reins of one running session. One event loop.

    Attributes:
        human: A person plays the persona; the simulator waits.
        cancelled: Someone asked for the session to end.
        spoken: What a person said and is not yet sent.
        task: The task that can be interrupted. None: nothing waits for anything long.
        ended: Set when nothing works on the session any more.
    """

    def __init__(self) -> None:
        self.human = False
        self.cancelled = False
        self.spoken: deque[SpokenByPerson] = deque()
        self.task: asyncio.Task[Any] | None = None
        self.ended = asyncio.Event()
        self._wake = asyncio.Event()
        self._settled = asyncio.Event()
        self._change: Callable[[dict[str, Any]], Awaitable[Session]] | None = None

    def attach(self, change: Callable[[dict[str, Any]], Awaitable[Session]]) -> None:
        """Says how the session's row is changed now that it has a single writer."""
        self._change = change
        self._settled.set()

    def end(self) -> None:
        """Nothing works on the session any more."""
        self.ended.set()
        self._settled.set()

    async def request(self, changes: dict[str, Any]) -> Session | None:
        """Changes fields of the session's row, once it has a single writer. Returns None if it got none."""
        await self._settled.wait()
        if self._change is None or self.ended.is_set():
            return None
        return await self._change(changes)

    def cancel(self) -> None:
        """Ends the session soon, whatever it waits for."""
        if not self.cancelled:
            self.cancelled = True
            if self.task is not None:
                self.task.cancel("the session is cancelled")

    def set_human(self, *, human: bool) -> None:
        """Gives the persona to a person, or back to the simulator."""
        self.human = human
        self._wake.set()

    def say(self, message: SpokenByPerson) -> None:
        """Hands over something that a person says."""
        self.spoken.append(message)
        self._wake.set()

    async def changed(self) -> None:
        """Waits until a person said something or handed over. Safe to cancel."""
        await self._wake.wait()
        self._wake.clear()
