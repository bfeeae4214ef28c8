"""Statuses with their details, as the contract wants them."""

from collections.abc import Sequence
from typing import Any, NoReturn

import grpc
import grpc.aio
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2, status_pb2

from tests.support.adapters.broken.breaks import breaks


async def abort(
    context: grpc.aio.ServicerContext[Any, Any],
    code: grpc.StatusCode,
    message: str,
    *,
    violations: Sequence[str] = (),
    retry: bool = False,
    source: str = "MIMIC",
) -> NoReturn:
    """Ends a call. `violations` are fields of the settings."""
    status = status_pb2.Status(code=code.value[0], message=message)
    domain = "example.com" if breaks("R1-error-info") else "mimic.adapter"
    info = error_details_pb2.ErrorInfo(domain=domain, reason=code.name, metadata={"fault_source": source})
    details: list[Any] = [] if breaks("R1-error-info:absent") else [info]
    if violations:
        faults = [
            error_details_pb2.BadRequest.FieldViolation(field=f"settings.{name}", description="wrong")
            for name in violations
        ]
        details.append(error_details_pb2.BadRequest(field_violations=faults))
    if retry:
        details.append(error_details_pb2.RetryInfo(retry_delay=Duration(seconds=1)))
    for detail in details:
        packed = AnyMessage()
        packed.Pack(detail)
        status.details.append(packed)
    metadata = (("grpc-status-details-bin", status.SerializeToString()),)
    await context.abort(code, message, metadata)
    raise AssertionError
