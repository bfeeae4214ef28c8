"""How fast something may go: so much a second in the long run, and so much at once."""

from __future__ import annotations

import time
from collections.abc import Callable


class Pace:
    """A bucket of tokens that fills by itself.

    Args:
        per_second: Tokens that come each second.
        at_once: Most tokens that it holds; it begins full.
        clock: Seconds, monotonic.
    """

    __slots__ = ("_at", "_clock", "_most", "_rate", "_tokens")

    def __init__(
        self, per_second: float, at_once: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rate = per_second
        self._most = at_once
        self._tokens = at_once
        self._clock = clock
        self._at = clock()

    def grant(self, tokens: float) -> None:
        """Adds tokens beyond what comes by itself."""
        self._tokens += tokens

    def spend(self, tokens: float) -> float:
        """Takes tokens, more than there are if need be. Returns the seconds to wait before going on."""
        self._tokens -= tokens
        if self._tokens >= 0:
            return 0.0
        self._fill()
        return max(-self._tokens / self._rate, 0.0)

    def afford(self, tokens: float) -> bool:
        """Takes tokens if they are there. Returns False, with nothing taken, if they are not."""
        if self._tokens < tokens:
            self._fill()
            if self._tokens < tokens:
                return False
        self._tokens -= tokens
        return True

    def _fill(self) -> None:
        now = self._clock()
        self._tokens = min(self._tokens + (now - self._at) * self._rate, self._most)
        self._at = now
