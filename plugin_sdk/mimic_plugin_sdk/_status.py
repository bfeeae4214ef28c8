"""How a call ends when it fails: a status that says whose fault it is, and what would help."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from grpc import StatusCode

from mimic_plugin_sdk._convert_event import fault_text
from mimic_plugin_sdk._errors import (
    CredentialsRefused,
    FaultError,
    SettingsError,
    SettingsViolation,
    Unreachable,
)
from mimic_plugin_sdk._fault import Fault, FaultSource
from mimic_plugin_sdk._wellknown import message

_logger = logging.getLogger("mimic_plugin_sdk")

_DOMAIN = "mimic.adapter"
_DETAILS_KEY = "grpc-status-details-bin"
# Peers refuse more than 8 KiB of metadata, in which these stand in base64.
_DETAILS_BYTES = 3600
_DESCRIPTION_CHARS = 300


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a call fails."""

    code: StatusCode
    """The status's code."""
    fault: Fault
    """What happened, and whose it is."""
    retry_after_seconds: int = 0
    """When to try again. 0: not told."""
    violations: Sequence[SettingsViolation] = ()
    """Faults of the settings."""


def refused(code: StatusCode, reason: str, text: str, *, retry_after_seconds: int = 0) -> Failure:
    """Make the failure of a call that the host should not have made, or not yet.

    Args:
        code: The status's code.
        reason: UPPER_SNAKE_CASE reason for programs.
        text: One line for people.
        retry_after_seconds: When to try again. 0: not told.
    """
    return Failure(code, Fault(FaultSource.MIMIC, reason, text), retry_after_seconds)


def failure_of(error: BaseException, where: str) -> Failure:
    """Judge what an author's code raised; the traceback of a defect goes to the log, and nowhere else.

    Args:
        error: What was raised; of a group, the first fault counts.
        where: Which of the adapter's methods raised it.
    """
    error = _telling(error)
    if isinstance(error, FaultError):
        return Failure(_code_of(error), error.fault)
    if isinstance(error, SettingsError) and where == "connect":
        fault = Fault(FaultSource.MIMIC, "SETTINGS_INVALID", str(error))
        return Failure(StatusCode.INVALID_ARGUMENT, fault, 0, error.violations)
    name = type(error).__name__
    _logger.error("%s raised %s: a defect of the adapter", where, name, exc_info=error)
    text = f"{name} in {where}; its traceback is in the adapter's log"
    return Failure(StatusCode.INTERNAL, Fault(FaultSource.ADAPTER, "ADAPTER_DEFECT", text))


def _telling(error: BaseException) -> BaseException:
    for leaf in _leaves(error):
        if isinstance(leaf, FaultError):
            return leaf
    return error


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            yield from _leaves(one)
    else:
        yield error


def _code_of(error: FaultError) -> StatusCode:
    if isinstance(error, CredentialsRefused):
        return StatusCode.UNAUTHENTICATED
    if isinstance(error, Unreachable):
        return StatusCode.UNAVAILABLE
    return StatusCode.INTERNAL if error.fault.source is FaultSource.ADAPTER else StatusCode.ABORTED


async def abort(context: Any, failure: Failure) -> NoReturn:
    """End a call with a failure.

    Args:
        context: The call's grpc.aio.ServicerContext.
        failure: Why.

    Raises:
        grpc.aio.AbortError: Always; it must reach grpc.
    """
    text = fault_text(failure.fault.message)
    await context.abort(failure.code, text, ((_DETAILS_KEY, _details(failure, text)),))
    raise AssertionError("abort always raises")


def _details(failure: Failure, text: str) -> bytes:
    status = message("google.rpc.Status")(code=failure.code.value[0], message=text)
    fault = failure.fault
    info = message("google.rpc.ErrorInfo")(reason=fault.reason, domain=_DOMAIN)
    info.metadata["fault_source"] = fault.source.name
    if fault.remedy:
        info.metadata["remedy"] = fault_text(fault.remedy)
    status.details.add().Pack(info)
    if failure.retry_after_seconds:
        retry = message("google.rpc.RetryInfo")()
        retry.retry_delay.seconds = failure.retry_after_seconds
        status.details.add().Pack(retry)
    if failure.violations:
        room = _DETAILS_BYTES - status.ByteSize()
        bad = message("google.rpc.BadRequest")()
        for violation in failure.violations:
            path = f"settings.{violation.field}" if violation.field else "settings"
            bad.field_violations.add(
                field=path, description=fault_text(violation.description)[:_DESCRIPTION_CHARS]
            )
            if bad.ByteSize() > room and len(bad.field_violations) > 1:
                del bad.field_violations[-1]
                break
        status.details.add().Pack(bad)
    return status.SerializeToString()  # type: ignore[no-any-return]
