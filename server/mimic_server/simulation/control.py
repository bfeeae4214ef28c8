"""What people ask of a session while it runs."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field

from mimic_server.domain.ids import MessageId
from mimic_server.domain.messages import Message, Part


@dataclass(slots=True)
class SpokenByPerson:
    """Something that a person says in the persona's place."""

    id: MessageId
    parts: tuple[Part, ...]
    stored: asyncio.Future[Message]
    """Resolved with the message once it is stored."""


@dataclass(slots=True)
class Control:
    """The reins of one running session. One event loop."""

    human: bool = False
    """A person plays the persona; the simulator waits."""
    cancelled: bool = False
    """Someone asked for the session to end."""
    spoken: deque[SpokenByPerson] = field(default_factory=deque)
    task: asyncio.Task[None] | None = None
    _wake: asyncio.Event = field(default_factory=asyncio.Event)

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
