"""Rules 6 and 7: how a session ends, and how much an adapter holds back."""

from collections.abc import Callable
from datetime import timedelta

import grpc
from mimic.adapter.v1 import conversation_pb2

from mimic_plugin_sdk.testing._bench import Bench
from mimic_plugin_sdk.testing._conversation import Conversation, name, settles, words
from mimic_plugin_sdk.testing._rule import BrokenError, NotGivenError, rule

_QUIET = timedelta(seconds=0.5)


async def _ends_well(session: Conversation) -> None:
    """Waits for the end of a session that was closed with a message under way, and judges it."""
    status = await session.ended()
    if status.code is not grpc.StatusCode.OK:
        raise BrokenError("the call to end with OK", str(status))
    last = session.events[-1]
    if not last.HasField("closed"):
        raise BrokenError("Closed last", ", ".join(map(name, session.events)))
    if last.closed.by != conversation_pb2.CLOSED_BY_HOST:
        raise BrokenError("Closed by HOST", conversation_pb2.ClosedBy.Name(last.closed.by))
    for message in session.sent:
        if not any(settles(event, message.id) for event in session.events):
            raise BrokenError(f"SENT or FAILED of {message.id}", ", ".join(map(name, session.events)))


@rule("R6-half-close", "After a half-close the receipts are settled; Closed and OK come within 5 s")
async def half_close(bench: Bench) -> None:
    peer = await bench.shared()
    async with peer.session() as session:
        await session.exchange()
        await session.say(words())
        await session.half_close()
        await _ends_well(session)


@rule("R6-close", "After Close the receipts are settled; Closed and OK come within 5 s")
async def close(bench: Bench) -> None:
    peer = await bench.shared()
    async with peer.session() as session:
        await session.exchange()
        await session.say(words())
        await session.close()
        await _ends_well(session)


@rule("R7-unacked-bound", "At most max_unacked_events come unacknowledged; after an ack the rest comes")
async def unacked_bound(bench: Bench) -> str:
    peer = await bench.shared()
    if not bench.subject.talkative:
        raise NotGivenError("needs a text that makes the agent say many messages")
    peer.needs("max_unacked_events")
    limit = peer.can.max_unacked_events
    wanted = limit + 5
    async with peer.session(ack=False) as session:
        await session.say(bench.subject.talkative.replace("{n}", str(wanted)))
        await _until(session, lambda: _unacked(session) >= limit, f"{limit} events")
        # Only time tells that nothing more comes.
        await session.quiet(_QUIET)
        if _unacked(session) > limit:
            raise BrokenError(f"at most {limit} events without an ack", str(_unacked(session)))
        session.ack_every = limit
        await session.acknowledge()
        await _until(
            session, lambda: _said(session) >= wanted, f"{wanted} messages of the agent's after an ack"
        )
        if _said(session) < wanted:
            fault = session.events[-1].closed.fault
            if not fault.reason:
                last = ", ".join(map(name, session.events[-5:]))
                raise BrokenError("the rest, or a fault that says why not", last)
            return f"the session ends: {fault.reason}"
    return f"{limit} events"


async def _until(session: Conversation, reached: Callable[[], bool], what: str) -> None:
    """Waits while events come, until it is reached or the session is closed."""
    while not reached() and not _over(session):
        came = len(session.events)
        await session.until(lambda _, came=came: len(session.events) > came, what)  # type: ignore[misc]


def _unacked(session: Conversation) -> int:
    return sum(not event.HasField("opened") for event in session.events)


def _said(session: Conversation) -> int:
    return sum(event.HasField("message") for event in session.events)


def _over(session: Conversation) -> bool:
    return session.events[-1].HasField("closed")
