"""Errors, by what a caller can do about them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from mimic_server.domain.faults import Fault


@dataclass(frozen=True, slots=True)
class Violation:
    """One fault of a request."""

    field: str
    """Path of the field as the caller wrote it, such as `persona.goals[2]`."""
    description: str
    """What is wrong with it, and what it may be."""


class MimicError(Exception):
    """Root of all errors that callers are meant to see.

    Attributes:
        reason: Stable UPPER_SNAKE_CASE reason for programs.
        message: One line: what, where, and what to do next. Carries no secret.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class InvalidInputError(MimicError):
    """The caller's input is wrong; sending it again will not help."""

    def __init__(
        self, violations: list[Violation] | tuple[Violation, ...], reason: str = "INVALID_INPUT"
    ) -> None:
        self.violations = tuple(violations)
        super().__init__(reason, "; ".join(f"{v.field}: {v.description}" for v in self.violations))

    @classmethod
    def of(cls, field: str, description: str) -> InvalidInputError:
        """One violation of one field."""
        return cls([Violation(field, description)])


class NotFoundError(MimicError):
    """The thing is absent, or another team's: the two cannot be told apart."""

    def __init__(self, kind: str, key: object) -> None:
        self.kind = kind
        super().__init__(f"{kind.upper()}_NOT_FOUND", f"{kind} {key} does not exist")


class AlreadyExistsError(MimicError):
    """The thing is there already."""


class PreconditionError(MimicError):
    """Something has to be done first; the message says what."""


class ConflictError(MimicError):
    """Someone else changed the thing meanwhile: read it again, then repeat the change."""


class RetriableError(MimicError):
    """The same call may succeed later.

    Attributes:
        retry_after: When to try again.
    """

    def __init__(self, reason: str, message: str, retry_after: timedelta) -> None:
        super().__init__(reason, message)
        self.retry_after = retry_after


class ExhaustedError(RetriableError):
    """A limit is reached."""


class UnavailableError(RetriableError):
    """The server cannot take work now: it drains, or something it needs is down."""


class UnauthenticatedError(MimicError):
    """No credential, or one that is not valid."""


class PermissionDeniedError(MimicError):
    """The credential's role does not allow the call."""


class FaultError(MimicError):
    """Something failed while a session ran, and whose fault it is is known.

    Attributes:
        fault: The failure.
    """

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.reason, f"{fault.message}. {fault.remedy}" if fault.remedy else fault.message)
        self.fault = fault
