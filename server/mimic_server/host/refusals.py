"""How a call to an adapter failed, read from its status and google.rpc details."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace

import grpc
import grpc.aio
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from mimic_server.domain.errors import Violation
from mimic_server.domain.faults import Fault, FaultSource
from mimic_server.host.texts import one_line

_DETAILS_KEY = "grpc-status-details-bin"


class LinkLost(Exception):  # noqa: N818 - an event, handled where the caller knows what was lost with it
    """The adapter is not there any more, or not yet again.

    Attributes:
        reason: One line for people.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Refusal:
    """A call that failed."""

    code: grpc.StatusCode
    message: str
    """One line. Never empty."""
    reason: str = ""
    """ErrorInfo's. Empty: the status had none."""
    source: FaultSource | None = None
    """None: the status had no ErrorInfo that names it."""
    remedy: str = ""
    violations: tuple[Violation, ...] = ()

    @property
    def is_loss(self) -> bool:
        """True: it is not the adapter that answered, but the way to it that broke."""
        return self.source is None and self.code in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}

    def redacted(self, redact: Callable[[str], str]) -> Refusal:
        """The same with its texts redacted."""
        violations = tuple(Violation(v.field, redact(v.description)) for v in self.violations)
        return replace(self, message=redact(self.message), remedy=redact(self.remedy), violations=violations)

    def fault(self) -> Fault:
        """The fault that the status tells; one that tells none is the adapter's."""
        if self.source is not None:
            return Fault(self.source, self.reason or self.code.name, self.message, self.remedy)
        if self.code is grpc.StatusCode.UNAUTHENTICATED:
            return Fault(FaultSource.CHANNEL, "CREDENTIALS_REFUSED", self.message, "check the credentials")
        if self.code is grpc.StatusCode.DEADLINE_EXCEEDED:
            return Fault(FaultSource.ADAPTER, "ADAPTER_TIMEOUT", "the adapter did not answer in time")
        return Fault(FaultSource.ADAPTER, self.code.name, self.message)


class Refused(Exception):  # noqa: N818 - says what happened
    """The adapter answered with a status.

    Attributes:
        refusal: The status.
    """

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


def refusal_of(error: grpc.aio.AioRpcError) -> Refusal:
    """Reads a status. Details that cannot be read count as none."""
    code = error.code()
    message = one_line(error.details() or "") or f"the adapter answered {code.name}"
    info, bad = _details(error)
    violations = tuple(Violation(one_line(v.field), one_line(v.description)) for v in bad.field_violations)
    return Refusal(
        code,
        message,
        one_line(info.reason, 100),
        _SOURCES.get(info.metadata.get("fault_source", "")),
        one_line(info.metadata.get("remedy", "")),
        violations,
    )


_SOURCES = {source.value: source for source in FaultSource}


def _details(
    error: grpc.aio.AioRpcError,
) -> tuple[error_details_pb2.ErrorInfo, error_details_pb2.BadRequest]:
    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    for key, value in error.trailing_metadata() or ():
        if key == _DETAILS_KEY and isinstance(value, bytes):
            with contextlib.suppress(DecodeError):
                for detail in status_pb2.Status.FromString(value).details:
                    detail.Unpack(info) or detail.Unpack(bad)
    return info, bad
