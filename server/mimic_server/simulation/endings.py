"""How conversations end, and how attempts at them fail."""

from __future__ import annotations

from dataclasses import dataclass

from mimic_server.domain.faults import Fault, FaultSource
from mimic_server.domain.sessions import TerminationReason

CREDENTIALS_REFUSED = "CREDENTIALS_REFUSED"
"""Reason of faults that only a person can mend."""

_REPEATABLE = frozenset({FaultSource.ADAPTER, FaultSource.CHANNEL, FaultSource.MIMIC})


def repeatable(fault: Fault) -> bool:
    """Whether another attempt may go better. The agent's faults are what we look for; the simulator tried."""
    return fault.source in _REPEATABLE and fault.reason != CREDENTIALS_REFUSED


@dataclass(frozen=True, slots=True)
class Ending:
    """Why a conversation ended."""

    reason: TerminationReason
    detail: str = ""
    fault: Fault | None = None


class AttemptFailedError(Exception):
    """An attempt cannot go on.

    Attributes:
        fault: Why, and whose fault it is.
        note: What is not known of the attempt.
    """

    def __init__(self, fault: Fault, note: str = "") -> None:
        super().__init__(fault.message)
        self.fault = fault
        self.note = note
