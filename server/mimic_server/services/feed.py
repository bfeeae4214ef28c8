"""Publish and subscribe inside one process: what watchers see at once.

A feed holds nothing that is not stored: a watcher that was too slow is told so and reads from the database
again, so a slow watcher costs its own queue and never the publisher.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

Topic = tuple[str, UUID]
"""What is watched: `("session", id)`, `("run", id)` or `("bootstrap", id)`."""

QUEUE_LIMIT = 1000
"""Items that a watcher may fall behind."""


class Lagged(Exception):  # noqa: N818 - an event of the protocol, handled where it is raised
    """The watcher fell behind and lost items: it reads what is stored, then goes on."""


class Subscription:
    """What one watcher has not yet seen. Iterate it; it does not end by itself."""

    __slots__ = ("_items", "_lost", "_waiter")

    def __init__(self) -> None:
        self._items: deque[tuple[int, Any]] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._lost = False

    def put(self, rev: int, item: Any) -> None:
        """Takes an item in, or remembers that it was lost."""
        if len(self._items) >= QUEUE_LIMIT:
            self._items.clear()
            self._lost = True
        else:
            self._items.append((rev, item))
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def __aiter__(self) -> AsyncIterator[tuple[int, Any]]:
        return self

    async def __anext__(self) -> tuple[int, Any]:
        """The next item and its rev.

        Raises:
            Lagged: Items were lost. What comes after is whole again.
        """
        while True:
            if self._lost:
                self._lost = False
                raise Lagged
            if self._items:
                return self._items.popleft()
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None


class Feed:
    """Carries items from whoever changes something to whoever watches it. One event loop."""

    def __init__(self) -> None:
        self._topics: dict[Topic, set[Subscription]] = {}

    def publish(self, topic: Topic, rev: int, item: Any) -> None:
        """Hands an item to the topic's watchers. Costs a dictionary look-up where nobody watches."""
        for subscription in self._topics.get(topic, ()):
            subscription.put(rev, item)

    def watched(self, topic: Topic) -> bool:
        """Whether anyone watches."""
        return topic in self._topics

    @contextmanager
    def subscribe(self, topic: Topic) -> Iterator[Subscription]:
        """Everything published from now on. Subscribe first, then read what is stored: nothing is missed."""
        subscription = Subscription()
        self._topics.setdefault(topic, set()).add(subscription)
        try:
            yield subscription
        finally:
            watchers = self._topics[topic]
            watchers.discard(subscription)
            if not watchers:
                del self._topics[topic]
