"""Connections: Connect, CheckConnection, WatchConnections, Disconnect."""

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any

import grpc
from mimic.adapter.v1 import adapter_pb2

from mimic_plugin_sdk.testing._bench import CONNECTION, Bench, Peer
from mimic_plugin_sdk.testing._rule import BrokenError, NotDeclaredError, rule
from mimic_plugin_sdk.testing._schema import Schema
from mimic_plugin_sdk.testing._subject import Settings
from mimic_plugin_sdk.testing._wire import Client, RefusedError, Status

READY = adapter_pb2.CONNECTION_STATE_READY
_NEVER_CONNECTED = "conformance-never-connected"


def _state(status: adapter_pb2.ConnectionStatus) -> str:
    state = adapter_pb2.ConnectionState.Name(status.state).removeprefix("CONNECTION_STATE_")
    return f"{state} of {status.connection_id!r} ({status.reason})"


async def _seen(client: Client, connection_id: str, seen: list[str]) -> None:
    """Watches until a connection is READY, noting what it sees."""
    async for status in client.watch():
        if status.connection_id == connection_id:
            seen.append(_state(status))
            if status.state == READY:
                return


async def _becomes_ready(peer: Peer) -> None:
    seen: list[str] = []
    try:
        async with asyncio.timeout(peer.subject.answer_within.total_seconds()):
            await _seen(peer.client, CONNECTION, seen)
    except TimeoutError:
        raise BrokenError(
            f"READY of {CONNECTION!r} from WatchConnections", ", ".join(seen) or "nothing"
        ) from None


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
    peer = await bench.shared()
    async with peer.session() as session:
        again = await peer.client.connect(CONNECTION, peer.settings, peer.mode)
        if list(again.agent_settings) != list(peer.connected.agent_settings):
            raise BrokenError("the same agent settings", "others")
        if again.status.connection_id != CONNECTION or again.status.state not in (
            READY,
            peer.connected.status.state,
        ):
            raise BrokenError(_state(peer.connected.status), _state(again.status))
        await session.exchange()


@rule("C3-bad-settings", "Each fault of the settings is a violation of the field settings.<name>")
async def bad_settings(bench: Bench) -> str:
    peer = await bench.shared()
    schema = Schema(peer.manifest.settings_schema_json)
    tried = 0
    for tried, (case, settings, names) in enumerate(
        _bad(schema, peer.settings, bench.subject.bad_settings), 1
    ):
        status = await refused_connect(peer, settings, case)
        if status.code is not grpc.StatusCode.INVALID_ARGUMENT:
            raise BrokenError(f"INVALID_ARGUMENT {case}", str(status))
        for name in names:
            if not any(_names(field, name) for field in status.violations):
                raise BrokenError(f"a violation of settings.{name} {case}", str(status))
        if not all(field == "settings" or field.startswith("settings.") for field in status.violations):
            raise BrokenError(f"violations of settings.<name> {case}", str(status))
        if not status.violations:
            raise BrokenError(f"a violation {case}", str(status))
    if not tried:
        raise NotDeclaredError("the settings' schema knows no wrong settings; --bad-settings names some")
    return f"{tried} cases"


def _names(field: str, name: str) -> bool:
    return field == f"settings.{name}" or field.startswith((f"settings.{name}.", f"settings.{name}["))


def _bad(schema: Schema, good: Settings, given: Settings | None) -> Iterator[tuple[str, Settings, list[str]]]:
    """Wrong settings: what is wrong with them, themselves, and the names at fault."""
    for name in schema.required:
        yield f"without {name}", {key: value for key, value in good.items() if key != name}, [name]
    wrong: Mapping[str, Any] = schema.wrong_values()
    if schema.closed:
        wrong = {**wrong, "no_such_setting": "x"}
    for name, value in wrong.items():
        yield f"with a wrong {name}", {**good, name: value}, [name]
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
    await _becomes_ready(await bench.shared())


@rule("C9-watch-changes", "WatchConnections tells each change: a watch from before Connect sees READY")
async def watch_changes(bench: Bench) -> None:
    async with bench.fresh(connect=False) as peer:
        watching = asyncio.create_task(_becomes_ready(peer))
        try:
            # A call that is answered after the watch's began shows that the adapter has seen that one.
            await peer.client.manifest()
            await bench.connect(peer)
            await watching
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)


@rule("C10-disconnect", "Disconnect ends the connection's sessions with UNAVAILABLE, and forgets it")
async def disconnect(bench: Bench) -> None:
    async with bench.fresh() as peer, peer.session() as session:
        await session.exchange()
        await peer.client.disconnect(CONNECTION)
        status = await session.ended()
        if status.code is not grpc.StatusCode.UNAVAILABLE:
            raise BrokenError("the session to end with UNAVAILABLE", str(status))
        try:
            response = await peer.client.check(CONNECTION)
        except RefusedError as error:
            if error.status.code is not grpc.StatusCode.NOT_FOUND:
                raise
        else:
            raise BrokenError("NOT_FOUND after Disconnect", _state(response.status))
