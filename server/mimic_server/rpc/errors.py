"""Errors of the domain as statuses, with google.rpc details."""

from __future__ import annotations

import re
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
_MAX_MESSAGE_CHARS = 2000
_MAX_VIOLATIONS = 100


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
        violations = [
            BadRequest.FieldViolation(field=v.field, description=v.description)
            for v in error.violations[:_MAX_VIOLATIONS]
        ]
        details.append(BadRequest(field_violations=violations))
    if isinstance(error, RetriableError):
        details.append(_retry(error.retry_after))
    if isinstance(error, FaultError):
        info.metadata["fault_source"] = error.fault.source.value
        if error.fault.remedy:
            info.metadata["remedy"] = error.fault.remedy
    return _failure(code, error.message, details)


def defect(correlation_id: str) -> Failure:
    """How a call ends by an error that nobody foresaw: the log has it under this id."""
    info = ErrorInfo(reason="INTERNAL", domain=DOMAIN, metadata={"correlation_id": correlation_id})
    return _failure(
        grpc.StatusCode.INTERNAL, f"internal error; the server's log has it as {correlation_id}", [info]
    )


def _failure(code: grpc.StatusCode, message: str, details: list[Message]) -> Failure:
    if len(message) > _MAX_MESSAGE_CHARS:
        message = message[: _MAX_MESSAGE_CHARS - 1] + "…"
    status = Status(code=code.value[0], message=message)
    for detail in details:
        packed = AnyProto()
        packed.Pack(detail)
        status.details.append(packed)
    return Failure(code, message, status.SerializeToString())


def _retry(after: timedelta) -> RetryInfo:
    info = RetryInfo()
    info.retry_delay.FromTimedelta(after)
    return info
