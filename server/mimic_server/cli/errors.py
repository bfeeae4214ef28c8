"""One line for each thing that can go wrong, and what the command's exit says of it."""

from __future__ import annotations

import enum
from typing import Any, NoReturn

import click
import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from mimic_server.domain.errors import InvalidInputError, MimicError, UnavailableError


class Exit(enum.IntEnum):
    """What the command's exit status means."""

    PASSED = 0
    FAILED = 1
    """The agent failed an evaluation; or the call was refused."""
    USAGE = 2
    """The command line, the plan or a field of a request is wrong."""
    INCONCLUSIVE = 3
    """Nothing failed, but something could not be judged for reasons that are not the agent's."""
    INFRASTRUCTURE = 4
    """The server, an adapter or the model could not be used."""


class CommandError(click.ClickException):
    """Ends the command with one line on standard error."""

    def __init__(self, message: str, exit_code: Exit = Exit.FAILED) -> None:
        super().__init__(message)
        self.exit_code = exit_code  # type: ignore[misc]

    def show(self, file: object = None) -> None:
        """Prints the line."""
        click.echo(f"mimic: {self.format_message()}", err=True)


_STATUS_EXITS = {
    grpc.StatusCode.INVALID_ARGUMENT: Exit.USAGE,
    grpc.StatusCode.UNAVAILABLE: Exit.INFRASTRUCTURE,
    grpc.StatusCode.DEADLINE_EXCEEDED: Exit.INFRASTRUCTURE,
    grpc.StatusCode.INTERNAL: Exit.INFRASTRUCTURE,
    grpc.StatusCode.UNKNOWN: Exit.INFRASTRUCTURE,
}


def raise_for(error: Any, address: str) -> NoReturn:
    """Turns a call's error, a `grpc.RpcError` with its status, into one line.

    Raises:
        CommandError: Always.
    """
    code: grpc.StatusCode = error.code()
    details = str(error.details() or code.name.lower())
    status = rpc_status.from_call(error)
    if status is None and code is grpc.StatusCode.UNAVAILABLE:
        raise CommandError(
            f"no server answers at {address}: start one with `mimic serve`, or name another with --address",
            Exit.INFRASTRUCTURE,
        ) from None
    hints = []
    exit_code = _STATUS_EXITS.get(code, Exit.FAILED)
    for detail in status.details if status is not None else ():
        bad, retry = error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info):
            # Whatever failed beside the call itself: an adapter, a model, a platform.
            exit_code = Exit.INFRASTRUCTURE if "fault_source" in info.metadata else exit_code
        elif detail.Unpack(bad):
            details = "; ".join(f"{v.field}: {v.description}" for v in bad.field_violations) or details
        elif detail.Unpack(retry):
            hints.append(f"try again in {retry.retry_delay.ToTimedelta().total_seconds():g} s")
    if code is grpc.StatusCode.UNAUTHENTICATED:
        hints.append("set MIMIC_API_KEY, or pass --api-key")
    text = "; ".join((details, *hints))
    raise CommandError(f"{text} ({code.name})", exit_code) from None


def of_mimic(error: MimicError) -> CommandError:
    """An error of Mimic's own code as one line."""
    if isinstance(error, InvalidInputError):
        return CommandError(error.message, Exit.USAGE)
    if isinstance(error, UnavailableError):
        return CommandError(error.message, Exit.INFRASTRUCTURE)
    return CommandError(error.message, Exit.INFRASTRUCTURE)
