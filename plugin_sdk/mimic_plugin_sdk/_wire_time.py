"""Moments at the wire, from which alone the agent's latency is computed."""

import time
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WireTime:
    """When bytes left the adapter, or reached it.

    Durations are taken only between two times of one clock.
    """

    wall_unix_nanos: int
    """Wall clock, nanoseconds since 1970-01-01T00:00:00Z."""
    monotonic_nanos: int
    """Monotonic clock in nanoseconds; its zero is arbitrary."""
    clock_id: str = ""
    """Names the monotonic clock. Empty: this process's."""

    @staticmethod
    def now() -> "WireTime":
        """Return this moment. Call it next to the socket operation, before any parsing."""
        return WireTime(time.time_ns(), time.monotonic_ns())
