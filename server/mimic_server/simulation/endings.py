"""How conversations end, and how attempts at them fail."""

from __future__ import annotations

from dataclasses import dataclass

from mimic_server.domain.faults import Fault, FaultSource
from mimic_server.domain.sessions import TerminationReason

REPEATABLE = frozenset({FaultSource.ADAPTER, FaultSource.CHANNEL, FaultSource.MIMIC})
"""Faults after which another attempt may go better. The agent's are what we look for; the simulator tried."""


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
