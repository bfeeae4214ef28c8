"""What fails, and how: nothing takes the adapter down, and each failure says whose it is."""

from datetime import timedelta

import grpc
from mimic.adapter.v1 import message_pb2

from mimic_plugin_sdk.testing._bench import Bench, Peer
from mimic_plugin_sdk.testing._conversation import FAILED, SENT, Conversation, Event, name, words
from mimic_plugin_sdk.testing._rule import BrokenError, rule
from mimic_plugin_sdk.testing._rules.messages import receipts
from mimic_plugin_sdk.testing._rules.opening import check_error_info
from mimic_plugin_sdk.testing._wire import RefusedError

_HUGE_BYTES = 8 * 1024 * 1024
_HUGE_LIMIT = timedelta(seconds=30)
_OUTSIDE = (message_pb2.FAULT_SOURCE_AGENT, message_pb2.FAULT_SOURCE_CHANNEL)


def _check_failed(event: Event) -> None:
    """Raises BrokenError where a FAILED does not say why."""
    fault = event.receipt.fault
    if event.receipt.status != FAILED or not fault.source or not fault.reason or not fault.message:
        raise BrokenError(
            "FAILED with a fault's source, reason and message", f"{name(event)} {fault}".strip()
        )


async def _survives(peer: Peer) -> None:
    try:
        await peer.client.manifest()
    except (RefusedError, TimeoutError) as error:
        account = peer.process.account() if peer.process else error
        raise BrokenError("the adapter to go on serving", str(account)) from None


@rule("R2-failed-is-final", "Nothing follows a message's FAILED")
async def failed_is_final(bench: Bench) -> str | None:
    shared = await bench.shared()
    if limit := shared.can.max_text_chars:
        async with shared.session() as session:
            message = await session.say("x" * (limit + 1))
            await session.settled(message.id)
            await session.exchange()
    else:
        async with bench.fresh(own_agent=True) as peer, peer.session() as session:
            await bench.kill_agent(peer)
            message = await session.say(words())
            await session.until(
                lambda event: event.receipt.message_id == message.id or event.HasField("closed"),
                "FAILED or Closed",
            )
            await session.close()
            await session.ended()
    came = [event.receipt.status for event in receipts(session.events, message.id)]
    if FAILED not in came:
        return "the session ended instead"
    if came[-1] != FAILED or came.count(FAILED) > 1:
        raise BrokenError("nothing after FAILED", ", ".join(map(name, receipts(session.events, message.id))))
    return None


@rule(
    "F1-too-long-text",
    "max_text_chars code points are sent; one more is FAILED with a fault, and all goes on",
)
async def too_long_text(bench: Bench) -> None:
    peer = await bench.shared()
    peer.needs("max_text_chars")
    limit = peer.can.max_text_chars
    async with peer.session() as session:
        # Two bytes and one code point each.
        receipt = await session.settled((await session.say("\u00e9" * limit)).id)
        if receipt.receipt.status != SENT:
            raise BrokenError(f"a text of {limit} code points to be SENT", name(receipt))
        _check_failed(await session.settled((await session.say("\u00e9" * (limit + 1))).id))
        await session.exchange()


@rule("F2-huge-text", "A text of 8 MiB is sent or FAILED with a fault, and the adapter goes on")
async def huge_text(bench: Bench) -> str:
    async with bench.fresh() as peer:
        async with peer.session() as session:
            message = await session.say("x" * _HUGE_BYTES)
            try:
                receipt = await session.settled(message.id, _HUGE_LIMIT)
                # Of a declared limit, the rule above tells whether FAILED has its fault.
                if receipt.receipt.status != SENT and not peer.can.max_text_chars:
                    _check_failed(receipt)
                await session.exchange()
                outcome = name(receipt).split("(")[0]
            except BrokenError:
                outcome = _fault_that_ended(session)
                if not outcome:
                    raise
        await _survives(peer)
    return outcome


def _fault_that_ended(session: Conversation) -> str:
    """The reason of the fault that a session ended with; empty where it goes on, or ended without one."""
    if session.events and session.events[-1].closed.fault.reason:
        return f"the session is closed by {session.events[-1].closed.fault.reason}"
    if session.status is None or session.status.code is grpc.StatusCode.OK:
        return ""
    check_error_info(session.status)
    return f"the session ends with {session.status.code.name}"


@rule("F3-agent-gone", "An agent that is gone is a fault of AGENT or CHANNEL, and the adapter goes on")
async def agent_gone(bench: Bench) -> str:
    async with bench.fresh(own_agent=True) as peer:
        async with peer.session() as session:
            await session.exchange()
            await bench.kill_agent(peer)
            message = await session.say(words())
            outcome = await _told_gone(peer, session, message.id)
        await _survives(peer)
    return outcome


async def _told_gone(peer: Peer, session: Conversation, message_id: str) -> str:
    """How the adapter told that the agent is gone."""
    try:
        event = await session.until(
            lambda event: event.receipt.message_id == message_id or event.HasField("closed"),
            "FAILED, Closed or a status, with a fault of AGENT or CHANNEL",
        )
    except BrokenError:
        if session.status is None or session.status.code is grpc.StatusCode.OK:
            raise
        check_error_info(session.status)
        if session.status.fault_source not in {"AGENT", "CHANNEL"}:
            raise BrokenError("fault_source AGENT or CHANNEL", str(session.status.error_info)) from None
        return session.status.code.name
    if event.receipt.status == SENT and peer.emulates:
        return "SENT: the platform keeps the message for the agent"
    fault = event.closed.fault if event.HasField("closed") else event.receipt.fault
    if fault.source not in _OUTSIDE or not fault.reason:
        raise BrokenError("a fault of AGENT or CHANNEL", f"{name(event)} {fault}".strip())
    return f"{name(event).split('(')[0]} by {fault.reason}"


@rule("F4-unknown-media", "GetMedia of an unknown id is NOT_FOUND")
async def unknown_media(bench: Bench) -> None:
    peer = await bench.shared()
    async with peer.session() as session:
        try:
            await peer.client.media(session.opening.session_id, "conformance-no-such-media")
        except RefusedError as error:
            if error.status.code is grpc.StatusCode.NOT_FOUND:
                return
            raise BrokenError("NOT_FOUND", str(error.status)) from None
        raise BrokenError("NOT_FOUND", "OK")
