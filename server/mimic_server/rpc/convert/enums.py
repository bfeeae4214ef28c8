"""Enumerations of the wire and of the domain. Members have the same names, but for the wire's prefix."""

from __future__ import annotations

import enum
import re
from typing import Any, Generic, TypeVar

from mimic.adapter.v1 import adapter_pb2, conversation_pb2, message_pb2
from mimic.v1 import (
    adapters_pb2,
    bootstraps_pb2,
    common_pb2,
    evaluations_pb2,
    runs_pb2,
    sessions_pb2,
    teams_pb2,
)

from mimic_server.domain.adapters import AdapterState, ConnectionState
from mimic_server.domain.agents import Mode
from mimic_server.domain.bootstraps import BootstrapStep
from mimic_server.domain.evaluations import (
    Aggregate,
    Method,
    Metric,
    ResultStatus,
    Severity,
    Verdict,
    WhoseMessages,
)
from mimic_server.domain.faults import FaultSource
from mimic_server.domain.messages import ChoiceKind, MediaKind, ReceiptStatus, Sender
from mimic_server.domain.runs import JobState, RunOutcome
from mimic_server.domain.sessions import SessionState, TerminationReason
from mimic_server.domain.teams import Role

EnumT = TypeVar("EnumT", bound=enum.Enum)

_WORD = re.compile(r"(?<=[a-z])(?=[A-Z])")


class LogLevel(enum.StrEnum):
    """How much a line of an adapter's log matters."""

    TRACE = "trace"
    DEBUG = "debug"
    INFO = "info"
    WARN = "warn"
    ERROR = "error"


class Enumeration(Generic[EnumT]):
    """One enumeration on both sides.

    Args:
        proto: The wire's. Its member 0 stands for none.
        domain: The domain's, with the same members, in whatever order.
    """

    def __init__(self, proto: Any, domain: type[EnumT]) -> None:
        self.name: str = proto.DESCRIPTOR.full_name
        prefix = _WORD.sub("_", proto.DESCRIPTOR.name).upper() + "_"
        self._read = {
            value.number: domain[value.name.removeprefix(prefix)]
            for value in proto.DESCRIPTOR.values
            if value.number
        }
        self._write: dict[EnumT | None, Any] = {member: number for number, member in self._read.items()}
        self._write[None] = 0

    def read(self, number: int) -> EnumT | None:
        """The domain's member. Returns None for 0, and for a number that this server does not know."""
        return self._read.get(number)

    def write(self, member: EnumT | None) -> Any:
        """The wire's number, 0 for None."""
        return self._write[member]

    @property
    def known(self) -> str:
        """The members by name, for people."""
        return ", ".join(member.name for member in self._read.values())


AGGREGATE = Enumeration(evaluations_pb2.Aggregate, Aggregate)
ADAPTER_STATE = Enumeration(adapters_pb2.AdapterState, AdapterState)
BOOTSTRAP_STEP = Enumeration(bootstraps_pb2.BootstrapStep, BootstrapStep)
CHOICE_KIND = Enumeration(message_pb2.ChoiceKind, ChoiceKind)
CONNECTION_STATE = Enumeration(adapter_pb2.ConnectionState, ConnectionState)
FAULT_SOURCE = Enumeration(message_pb2.FaultSource, FaultSource)
JOB_STATE = Enumeration(common_pb2.JobState, JobState)
LOG_LEVEL = Enumeration(adapters_pb2.LogLevel, LogLevel)
MEDIA_KIND = Enumeration(message_pb2.MediaKind, MediaKind)
METHOD = Enumeration(evaluations_pb2.Method, Method)
METRIC = Enumeration(evaluations_pb2.Metric, Metric)
MODE = Enumeration(adapter_pb2.Mode, Mode)
RECEIPT_STATUS = Enumeration(conversation_pb2.ReceiptStatus, ReceiptStatus)
RESULT_STATUS = Enumeration(evaluations_pb2.ResultStatus, ResultStatus)
ROLE = Enumeration(teams_pb2.Role, Role)
RUN_OUTCOME = Enumeration(runs_pb2.RunOutcome, RunOutcome)
SENDER = Enumeration(evaluations_pb2.Sender, Sender)
SESSION_STATE = Enumeration(sessions_pb2.SessionState, SessionState)
SEVERITY = Enumeration(evaluations_pb2.Severity, Severity)
TERMINATION_REASON = Enumeration(sessions_pb2.TerminationReason, TerminationReason)
VERDICT = Enumeration(evaluations_pb2.Verdict, Verdict)
WHOSE_MESSAGES = Enumeration(evaluations_pb2.WhoseMessages, WhoseMessages)

BY_NAME: dict[str, Enumeration[Any]] = {
    value.name: value for value in tuple(globals().values()) if isinstance(value, Enumeration)
}
"""All of them, by the wire's full name."""
