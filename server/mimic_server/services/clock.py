"""What time it is, so that tests can say it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Answers the time now, in UTC with its time zone."""


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)
