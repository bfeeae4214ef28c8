"""Rule 1: Opened comes first, or the call ends with a status that says whose fault it is."""

import contextlib
import re

import grpc
from mimic.adapter.v1 import conversation_pb2

from mimic_plugin_sdk.testing._bench import Bench, Peer
from mimic_plugin_sdk.testing._conversation import Conversation, name, send, text_message, words
from mimic_plugin_sdk.testing._rule import BrokenError, NotDeclaredError, NotGivenError, rule
from mimic_plugin_sdk.testing._wire import DOMAIN, FAULT_SOURCES, RefusedError, Status

_REASON = re.compile(r"[A-Z][A-Z0-9_]*[A-Z0-9]")
_MOST_TRIED = 512


@rule("R1-opened-first", "Opened comes first and once, not numbered, with the process's epoch")
async def opened_first(bench: Bench) -> None:
    peer = await bench.shared()
    epochs = set()
    for _ in range(2):
        async with peer.session() as session:
            await session.exchange()
            await session.close()
            await session.ended()
        kinds = [event.WhichOneof("event") for event in session.events]
        if kinds.index("opened") != 0 or kinds.count("opened") != 1:
            raise BrokenError("Opened first and once", ", ".join(map(name, session.events)))
        first = session.events[0]
        if first.seq != 0:
            raise BrokenError("Opened without a seq", f"seq {first.seq}")
        if first.opened.resumed:
            raise BrokenError("resumed=false for a session that was never opened", "resumed=true")
        epochs.add(first.opened.epoch)
    if len(epochs) != 1 or "" in epochs:
        raise BrokenError("one epoch a process", f"{sorted(epochs)} in two sessions")


async def _refused(peer: Peer, item: conversation_pb2.HostItem) -> Status:
    """Writes an item as the first of a call, and returns how the call ended."""
    limit = peer.subject.answer_within
    async with Conversation(peer.client, conversation_pb2.Open(), limit, 0) as conversation:
        await conversation.write(item)
        status = await conversation.ended(limit)
        if conversation.events:
            raise BrokenError("no event before the status", ", ".join(map(name, conversation.events)))
        return status


async def _first_item_refused(peer: Peer) -> Status:
    return await _refused(peer, send(text_message(words())))


async def _connection_refused(peer: Peer) -> Status:
    return await _refused(peer, conversation_pb2.HostItem(open=peer.new_open("conformance-never-connected")))


@rule("R1-open-first", "A call whose first item is not Open ends with INVALID_ARGUMENT")
async def open_first(bench: Bench) -> None:
    status = await _first_item_refused(await bench.shared())
    if status.code is not grpc.StatusCode.INVALID_ARGUMENT:
        raise BrokenError("INVALID_ARGUMENT", str(status))


@rule("R1-unknown-connection", "Open of an unknown connection ends with NOT_FOUND")
async def unknown_connection(bench: Bench) -> None:
    status = await _connection_refused(await bench.shared())
    if status.code is not grpc.StatusCode.NOT_FOUND:
        raise BrokenError("NOT_FOUND", str(status))


@rule("R1-already-open", "Open of a session that is open on another stream ends with ALREADY_EXISTS")
async def already_open(bench: Bench) -> None:
    peer = await bench.shared()
    if peer.slots.number < 2:
        raise NotDeclaredError("the manifest declares max_concurrent_sessions of 1")
    async with peer.session() as session, peer.slots.take(1):
        status = await _refused(peer, conversation_pb2.HostItem(open=session.opening))
        if status.code is not grpc.StatusCode.ALREADY_EXISTS:
            raise BrokenError("ALREADY_EXISTS", str(status))
        await session.exchange()


@rule(
    "R1-session-limit", "One session above max_concurrent_sessions ends with RESOURCE_EXHAUSTED and RetryInfo"
)
async def session_limit(bench: Bench) -> None:
    shared = await bench.shared()
    shared.needs("max_concurrent_sessions")
    limit = shared.can.max_concurrent_sessions
    if limit > _MOST_TRIED:
        raise NotGivenError(f"more than {_MOST_TRIED} sessions at once are not tried")
    async with bench.fresh() as peer, contextlib.AsyncExitStack() as stack:
        for _ in range(limit):
            session = await stack.enter_async_context(await peer.begin(peer.new_open()))
            await session.opened()
        status = await _refused(peer, conversation_pb2.HostItem(open=peer.new_open()))
        if status.code is not grpc.StatusCode.RESOURCE_EXHAUSTED or not status.retry:
            raise BrokenError(
                f"RESOURCE_EXHAUSTED with RetryInfo above {limit} sessions",
                f"{status}{'' if status.retry else ' without RetryInfo'}",
            )


@rule(
    "R1-error-info", "Statuses carry ErrorInfo of domain mimic.adapter, with a reason and the fault's source"
)
async def error_info(bench: Bench) -> None:
    peer = await bench.shared()
    statuses = [await _first_item_refused(peer), await _connection_refused(peer)]
    try:
        await peer.client.check("conformance-never-connected")
    except RefusedError as error:
        statuses.append(error.status)
    for status in statuses:
        check_error_info(status)


def check_error_info(status: Status) -> None:
    """Raises BrokenError where a status does not say whose fault it is."""
    info = status.error_info
    if info is None:
        raise BrokenError("google.rpc.ErrorInfo in the status", f"{status} without it")
    if info.domain != DOMAIN:
        raise BrokenError(f"ErrorInfo of domain {DOMAIN}", repr(info.domain))
    if not _REASON.fullmatch(info.reason):
        raise BrokenError("an UPPER_SNAKE_CASE reason", repr(info.reason))
    if status.fault_source not in FAULT_SOURCES:
        raise BrokenError(f"fault_source of {', '.join(FAULT_SOURCES)}", repr(status.fault_source))
