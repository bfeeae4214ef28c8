"""Whose failure it is: every failure names its source, and only the agent's count against the agent."""

import enum
from dataclasses import dataclass


class FaultSource(enum.Enum):
    """Where a failure comes from."""

    AGENT = "AGENT"
    """The agent under test: refused, crashed, answered nonsense."""
    SIMULATOR = "SIMULATOR"
    """The simulated person; an adapter has no reason to say so."""
    ADAPTER = "ADAPTER"
    """The adapter process: a defect, or a broken rule of the contract."""
    CHANNEL = "CHANNEL"
    """The medium between adapter and agent: network, platform, credentials."""
    MIMIC = "MIMIC"
    """Mimic's own server."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A failure, and whose it is. Secrets of the connection's settings are redacted before it leaves."""

    source: FaultSource
    """Whose fault it is."""
    reason: str
    """Stable UPPER_SNAKE_CASE reason for programs, such as "AGENT_HTTP_STATUS"."""
    message: str
    """One line for people: what happened and where."""
    remedy: str = ""
    """One line: what to do next. Empty where nothing is known to help."""
