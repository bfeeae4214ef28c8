"""Statuses with details."""

from typing import Any

import grpc
from google.rpc import error_details_pb2, status_pb2


async def abort(context: Any, code: grpc.StatusCode, text: str, **metadata: str) -> None:
    """Ends a call with a status; with `fault_source` in its ErrorInfo if given."""
    status = status_pb2.Status(code=code.value[0], message=text)
    if "field" in metadata:
        bad = error_details_pb2.BadRequest()
        bad.field_violations.add(field=metadata.pop("field"), description=text)
        status.details.add().Pack(bad)
    if metadata:
        info = error_details_pb2.ErrorInfo(reason=metadata.pop("reason"), domain="mimic.adapter")
        info.metadata.update(metadata)
        status.details.add().Pack(info)
    await context.abort(code, text, (("grpc-status-details-bin", status.SerializeToString()),))
