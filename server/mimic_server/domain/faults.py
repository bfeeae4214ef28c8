"""Whose fault a failure is. Only faults of the agent count against the agent."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class FaultSource(enum.StrEnum):
    """Where a failure comes from."""

    AGENT = "AGENT"
    """The agent under test: refused, crashed, answered nonsense."""
    SIMULATOR = "SIMULATOR"
    """The simulated person: the language model failed or answered out of schema."""
    ADAPTER = "ADAPTER"
    """The adapter process: it crashed, hung or broke the contract."""
    CHANNEL = "CHANNEL"
    """The medium between adapter and agent: network, platform, credentials."""
    MIMIC = "MIMIC"
    """Mimic's own server."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A failure, and whose it is."""

    source: FaultSource
    reason: str
    """Stable UPPER_SNAKE_CASE reason for programs."""
    message: str
    """One line for people: what happened and where. Carries no secret."""
    remedy: str = ""
    """One line: what to do next. Empty where nothing is known to help."""
