"""When a crashed adapter is started again, and when it is left alone."""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Callable

from mimic_server.host.settings import Limits


class CrashBudget:
    """Counts failures inside a sliding window.

    Args:
        limits: How many, in which time, and how long the waits between are.
        clock: Seconds, monotonic.
    """

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._clock = clock
        self._failures: deque[float] = deque(maxlen=64)

    def renew(self) -> None:
        """Makes the budget whole again."""
        self._failures.clear()

    def failed(self) -> None:
        """Counts a failure."""
        now = self._clock()
        self._failures.append(now)
        while self._failures[0] < now - self._limits.crash_window_seconds:
            self._failures.popleft()

    @property
    def failures(self) -> int:
        """Failures inside the window that ends with the last one."""
        return len(self._failures)

    @property
    def spent(self) -> bool:
        """True: it has failed too often to be started again unasked."""
        return len(self._failures) >= self._limits.crashes

    def wait_seconds(self) -> float:
        """How long to wait before the next start: doubles with each failure, give or take a half."""
        doubled = self._limits.backoff_seconds * 2.0 ** max(len(self._failures) - 1, 0)
        return min(doubled, self._limits.backoff_most_seconds) * random.uniform(0.5, 1.5)
