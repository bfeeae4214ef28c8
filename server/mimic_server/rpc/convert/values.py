"""Small values of answers."""

from __future__ import annotations

from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp
from mimic.adapter.v1 import message_pb2
from mimic.v1 import common_pb2

from mimic_server.domain.faults import Fault
from mimic_server.domain.messages import Usage, WireTime
from mimic_server.wire.parts import write_fault, write_time


def timestamp(moment: datetime) -> Timestamp:
    """A moment."""
    proto = Timestamp()
    proto.FromDatetime(moment)
    return proto


def optional_timestamp(moment: datetime | None) -> Timestamp | None:
    """A moment. Returns None, which leaves the field unset, if there is none."""
    return None if moment is None else timestamp(moment)


def usage(spent: Usage) -> common_pb2.Usage:
    """What model calls cost."""
    return common_pb2.Usage(
        prompt_tokens=spent.prompt_tokens,
        completion_tokens=spent.completion_tokens,
        cached_tokens=spent.cached_tokens,
        calls=spent.calls,
    )


def optional_usage(spent: Usage | None) -> common_pb2.Usage | None:
    """What model calls cost. Returns None if none was made."""
    return None if spent is None else usage(spent)


def fault(failure: Fault | None) -> message_pb2.Fault | None:
    """A failure. Returns None if there is none."""
    if failure is None:
        return None
    proto = message_pb2.Fault()
    write_fault(failure, proto)
    return proto


def wire_time(moment: WireTime | None) -> message_pb2.WireTime | None:
    """A moment at the wire. Returns None if it is not known."""
    if moment is None:
        return None
    proto = message_pb2.WireTime()
    write_time(moment, proto)
    return proto
