"""Errors of the domain as statuses, with google.rpc details."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import grpc
from google.protobuf.any_pb2 import Any as AnyProto
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from mimic_server.domain.errors import (
    AlreadyExistsError,
    ConflictError,
    ExhaustedError,
    FaultError,
    InvalidInputError,
    MimicError,
    NotFoundError,
    PermissionDeniedError,
    PreconditionError,
    RetriableError,
    UnauthenticatedError,
    UnavailableError,
    Violation,
)

DOMAIN = "mimic.v1"
"""The domain of every ErrorInfo."""

DETAILS_KEY = "grpc-status-details-bin"
"""Trailing metadata that carries google.rpc.Status."""

_CODES: dict[type[MimicError], grpc.StatusCode] = {
    AlreadyExistsError: grpc.StatusCode.ALREADY_EXISTS,
    ConflictError: grpc.StatusCode.ABORTED,
    ExhaustedError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    FaultError: grpc.StatusCode.FAILED_PRECONDITION,
    InvalidInputError: grpc.StatusCode.INVALID_ARGUMENT,
    NotFoundError: grpc.StatusCode.NOT_FOUND,
    PermissionDeniedError: grpc.StatusCode.PERMISSION_DENIED,
    PreconditionError: grpc.StatusCode.FAILED_PRECONDITION,
    UnauthenticatedError: grpc.StatusCode.UNAUTHENTICATED,
    UnavailableError: grpc.StatusCode.UNAVAILABLE,
    RetriableError: grpc.StatusCode.UNAVAILABLE,
}

_NOT_OF_A_REASON = re.compile(r"[^A-Z0-9_]+")

# An error travels in metadata, of which gRPC takes 8 KiB for sure. There the message takes up to three times
# its bytes, and the details four thirds.
_MESSAGE_BYTES = 600
_REMEDY_BYTES = 400
_VIOLATIONS_BYTES = 2800
_FIELD_BYTES = 200
_DESCRIPTION_BYTES = 400


@dataclass(frozen=True, slots=True)
class Failure:
    """How a call ends that did not succeed."""

    code: grpc.StatusCode
    message: str
    details: bytes
    """A serialized google.rpc.Status."""


def failure_of(error: MimicError) -> Failure:
    """How a call ends by an error that callers are meant to see."""
    code = next(_CODES[kind] for kind in type(error).__mro__ if kind in _CODES)
    info = ErrorInfo(reason=_NOT_OF_A_REASON.sub("_", error.reason.upper()), domain=DOMAIN)
    details: list[Message] = [info]
    if isinstance(error, InvalidInputError):
        details.append(_bad_request(error.violations))
    if isinstance(error, RetriableError):
        details.append(_retry(error.retry_after))
    if isinstance(error, FaultError):
        info.metadata["fault_source"] = error.fault.source.value
        if error.fault.remedy:
            info.metadata["remedy"] = _cut(error.fault.remedy, _REMEDY_BYTES)
    return _failure(code, error.message, details)


def defect(correlation_id: str) -> Failure:
    """How a call ends by an error that nobody foresaw: the log has it under this id."""
    info = ErrorInfo(reason="INTERNAL", domain=DOMAIN, metadata={"correlation_id": correlation_id})
    return _failure(
        grpc.StatusCode.INTERNAL, f"internal error; the server's log has it as {correlation_id}", [info]
    )


def _failure(code: grpc.StatusCode, message: str, details: list[Message]) -> Failure:
    message = _cut(message, _MESSAGE_BYTES)
    status = Status(code=code.value[0], message=message)
    for detail in details:
        packed = AnyProto()
        packed.Pack(detail)
        status.details.append(packed)
    return Failure(code, message, status.SerializeToString())


def _bad_request(violations: Sequence[Violation]) -> BadRequest:
    """Violations as far as there is room, and how many there are beside."""
    proto = BadRequest()
    for index, violation in enumerate(violations):
        field = _cut(violation.field, _FIELD_BYTES)
        proto.field_violations.add(field=field, description=_cut(violation.description, _DESCRIPTION_BYTES))
        if proto.ByteSize() > _VIOLATIONS_BYTES:
            del proto.field_violations[-1]
            proto.field_violations.add(
                field=field, description=f"and {len(violations) - index - 1} more faults"
            )
            break
    return proto


def _cut(text: str, limit: int) -> str:
    """A text of at most so many bytes; one that was longer ends in an ellipsis."""
    raw = text.encode()
    return text if len(raw) <= limit else raw[: limit - 3].decode(errors="ignore") + "…"


def _retry(after: timedelta) -> RetryInfo:
    info = RetryInfo()
    info.retry_delay.FromTimedelta(after)
    return info
