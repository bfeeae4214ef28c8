"""Connections: Connect, CheckConnection, WatchConnections, Disconnect."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import grpc
from mimic.adapter.v1 import adapter_pb2

from mimic_plugin_sdk.testing._bench import CONNECTION, Bench, Peer
from mimic_plugin_sdk.testing._conversation import name
from mimic_plugin_sdk.testing._rule import BrokenError, NotDeclaredError, NotGivenError, rule
from mimic_plugin_sdk.testing._schema import Schema
from mimic_plugin_sdk.testing._subject import Settings
from mimic_plugin_sdk.testing._wire import RefusedError, Status

READY = adapter_pb2.CONNECTION_STATE_READY
_NEVER_CONNECTED = "conformance-never-connected"
_BEGIN_SECONDS = 1


def _state(status: adapter_pb2.ConnectionStatus) -> str:
    state = adapter_pb2.ConnectionState.Name(status.state).removeprefix("CONNECTION_STATE_")
    return f"{state} of {status.connection_id!r} ({status.reason})"


async def _becomes_ready(
    peer: Peer, connection_id: str, statuses: AsyncIterator[adapter_pb2.ConnectionStatus]
) -> None:
    """Reads a watch until a connection is READY.

    Raises:
        BrokenError: The time passed before it was.
    """
    seen: list[str] = []
    try:
        async with asyncio.timeout(peer.subject.answer_within.total_seconds()):
            async for status in statuses:
                if status.connection_id == connection_id:
                    seen.append(_state(status))
                    if status.state == READY:
                        return
    except TimeoutError:
        told = ", ".join(seen) or "nothing"
        raise BrokenError(f"READY of {connection_id!r} from WatchConnections", told) from None


@rule("C1-connect", "Connect with settings that work brings the connection up, and tells what to set")
async def connect(bench: Bench) -> str | None:
    peer = await bench.shared()
    status = peer.connected.status
    up = (READY, adapter_pb2.CONNECTION_STATE_CONNECTING)
    if status.connection_id != CONNECTION or status.state not in up:
        raise BrokenError(f"READY or CONNECTING of {CONNECTION!r}", _state(status))
    for setting in peer.connected.agent_settings:
        if not setting.name or not setting.description:
            raise BrokenError("each agent setting with a name and a description", repr(setting.name))
    names = [setting.env_var or setting.name for setting in peer.connected.agent_settings]
    return f"the agent's author sets {', '.join(names)}" if names else None


@rule("C2-connect-repeated", "Connect again with the same settings answers the same, and disturbs no session")
async def connect_repeated(bench: Bench) -> None:
    async with bench.fresh() as peer, peer.session() as session:
        first = peer.connected
        again = await peer.client.connect(CONNECTION, peer.settings, peer.mode)
        if list(again.agent_settings) != list(first.agent_settings):
            raise BrokenError("the same agent settings", "others")
        if again.status.connection_id != CONNECTION or again.status.state not in (READY, first.status.state):
            raise BrokenError(_state(first.status), _state(again.status))
        await session.exchange()


@rule("C3-bad-settings", "Each fault of the settings is a violation of the field settings.<name>")
async def bad_settings(bench: Bench) -> str:
    peer = await bench.shared()
    schema = Schema(peer.manifest.settings_schema_json)
    cases = list(_bad(schema, peer.settings, bench.subject.bad_settings))
    if not cases:
        raise NotDeclaredError("the settings' schema knows no wrong settings; --bad-settings names some")
    for case, settings, names in cases:
        status = await refused_connect(peer, settings, case)
        if status.code is not grpc.StatusCode.INVALID_ARGUMENT:
            raise BrokenError(f"INVALID_ARGUMENT {case}", str(status))
        for wrong in names:
            if not any(_names(field, wrong) for field in status.violations):
                raise BrokenError(f"a violation of settings.{wrong} {case}", str(status))
        if not all(field == "settings" or field.startswith("settings.") for field in status.violations):
            raise BrokenError(f"violations of settings.<name> {case}", str(status))
        if not status.violations:
            raise BrokenError(f"a violation {case}", str(status))
    return f"{len(cases)} cases"


def _names(field: str, setting: str) -> bool:
    return field == f"settings.{setting}" or field.startswith(
        (f"settings.{setting}.", f"settings.{setting}[")
    )


def _bad(schema: Schema, good: Settings, given: Settings | None) -> Iterator[tuple[str, Settings, list[str]]]:
    """Wrong settings: what is wrong with them, themselves, and the names at fault."""
    for needed in schema.required:
        yield f"without {needed}", {key: value for key, value in good.items() if key != needed}, [needed]
    wrong: Mapping[str, Any] = schema.wrong_values()
    if schema.closed:
        wrong = {**wrong, "no_such_setting": "x"}
    for one, value in wrong.items():
        yield f"with a wrong {one}", {**good, one: value}, [one]
    if len(wrong) > 1:
        yield "with several faults", {**good, **wrong}, list(wrong)
    if given is not None:
        yield "for --bad-settings", given, []


async def refused_connect(peer: Peer, settings: Settings, case: str) -> Status:
    """Connects with settings that must be refused, under an id of their own."""
    connection_id = "conformance-bad-settings"
    try:
        await peer.client.connect(connection_id, settings, peer.mode)
    except RefusedError as error:
        return error.status
    await peer.client.disconnect(connection_id)
    raise BrokenError(f"Connect to refuse settings {case}", "OK")


@rule("C4-mode-not-offered", "Connect in a mode that the manifest does not have is FAILED_PRECONDITION")
async def mode_not_offered(bench: Bench) -> None:
    peer = await bench.shared()
    others = {adapter_pb2.MODE_LIVE, adapter_pb2.MODE_EMULATOR} - set(peer.manifest.modes)
    if not others:
        raise NotDeclaredError("the manifest has both modes")
    for mode in others:
        try:
            await peer.client.connect("conformance-bad-mode", peer.settings, mode)
        except RefusedError as error:
            if error.status.code is grpc.StatusCode.FAILED_PRECONDITION:
                continue
            raise BrokenError("FAILED_PRECONDITION", str(error.status)) from None
        raise BrokenError("FAILED_PRECONDITION", "OK")


@rule("C5-check", "CheckConnection finds a connection that works READY, and tells how long it took")
async def check(bench: Bench) -> None:
    peer = await bench.shared()
    response = await peer.client.check(CONNECTION)
    if response.status.connection_id != CONNECTION or response.status.state != READY:
        raise BrokenError(f"READY of {CONNECTION!r}", _state(response.status))
    if not response.HasField("took") or response.took.ToNanoseconds() < 0:
        raise BrokenError("how long the probe took", "nothing")


@rule("C6-check-unknown", "CheckConnection of an unknown connection is NOT_FOUND")
async def check_unknown(bench: Bench) -> None:
    peer = await bench.shared()
    try:
        response = await peer.client.check(_NEVER_CONNECTED)
    except RefusedError as error:
        if error.status.code is grpc.StatusCode.NOT_FOUND:
            return
        raise BrokenError("NOT_FOUND", str(error.status)) from None
    raise BrokenError("NOT_FOUND", _state(response.status))


@rule("C7-disconnect-unknown", "Disconnect of an unknown connection is no error")
async def disconnect_unknown(bench: Bench) -> None:
    peer = await bench.shared()
    await peer.client.disconnect(_NEVER_CONNECTED)


@rule("C8-watch", "WatchConnections tells each connection as it is now")
async def watch(bench: Bench) -> None:
    peer = await bench.shared()
    async with contextlib.aclosing(peer.client.watch()) as statuses:
        await _becomes_ready(peer, CONNECTION, statuses)


@rule("C9-watch-changes", "WatchConnections tells each change: what is connected later becomes READY")
async def watch_changes(bench: Bench) -> None:
    another = "conformance-another"
    async with bench.fresh() as peer, contextlib.aclosing(peer.client.watch()) as statuses:
        # Its first word shows that the watch has begun; whether there is one is for another rule to say.
        first = asyncio.ensure_future(anext(statuses))
        await asyncio.wait([first], timeout=_BEGIN_SECONDS)
        try:
            await peer.client.connect(another, peer.settings, peer.mode)
        except RefusedError as error:
            raise NotGivenError(f"needs settings that connect twice at once: {error.status}") from None
        if (await first).connection_id != another:
            await _becomes_ready(peer, another, statuses)


@rule("C10-disconnect", "Disconnect ends the connection's sessions with UNAVAILABLE, and none begins")
async def disconnect(bench: Bench) -> None:
    async with bench.fresh() as peer:
        async with peer.session() as session:
            await session.exchange()
            await peer.client.disconnect(CONNECTION)
            status = await session.ended()
        if status.code is not grpc.StatusCode.UNAVAILABLE:
            raise BrokenError("the session to end with UNAVAILABLE", str(status))
        async with await peer.begin(peer.new_open()) as another:
            await another.begun()
            if another.events:
                raise BrokenError("no session after Disconnect", name(another.events[0]))
