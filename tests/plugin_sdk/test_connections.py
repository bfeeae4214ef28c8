"""Connections: brought up once, replaced, probed, watched and taken down."""

import asyncio

import grpc
import pytest
from mimic.adapter.v1 import adapter_pb2

from tests.plugin_sdk.host import conversing, failed, launched

READY = adapter_pb2.CONNECTION_STATE_READY
FAILED = adapter_pb2.CONNECTION_STATE_FAILED


async def test_each_fault_of_the_settings_is_a_violation_that_repeats_nothing() -> None:
    async with launched("Echo") as host:
        failure = await failed(host.connect(retries=-1, url=5, token="bad-tok", nested={"a": 3}))
    assert failure.code is grpc.StatusCode.INVALID_ARGUMENT
    violations = {violation.field: violation.description for violation in failure.bad.field_violations}
    assert violations.keys() == {
        "settings.retries",
        "settings.url",
        "settings.token",
        "settings.nested.a",
    }
    assert violations["settings.token"] == "Value error, the token [redacted] is bad"
    assert "bad-tok" not in failure.message
    assert failure.info.reason == "SETTINGS_INVALID"
    assert not any("bad-tok" in line for line in host.process.lines)


async def test_more_violations_than_metadata_can_carry_are_cut() -> None:
    async with launched("Echo") as host:
        failure = await failed(host.connect(nested={f"name{number}": number for number in range(500)}))
    assert failure.code is grpc.StatusCode.INVALID_ARGUMENT
    assert 10 < len(failure.bad.field_violations) < 500


@pytest.mark.parametrize(
    "url,code,reason,source,state",
    [
        ("http://refused", "UNAUTHENTICATED", "CREDENTIALS_REFUSED", "CHANNEL", "BAD_CREDENTIALS"),
        ("http://down", "UNAVAILABLE", "UNREACHABLE", "AGENT", "FAILED"),
        ("http://wrong", "INVALID_ARGUMENT", "SETTINGS_INVALID", "MIMIC", "FAILED"),
        ("http://broken", "INTERNAL", "ADAPTER_DEFECT", "ADAPTER", "FAILED"),
    ],
)
async def test_what_connect_raises_becomes_a_status(
    url: str, code: str, reason: str, source: str, state: str
) -> None:
    async with launched("Connecting") as host:
        watch = host.watch()
        await host.connect("other")
        while (await watch.state()).state != READY:
            pass
        failure = await failed(host.connect(url=url))
        states: list[str] = []
        while len(states) < 1 or states[-1] == "CONNECTION_STATE_CONNECTING":
            status = await watch.state()
            states.append(adapter_pb2.ConnectionState.Name(status.state))
        again = await failed(host.connect(url=url))
        await host.process.logged(f"disconnect c {url}")
        unknown = await failed(
            host.stub.CheckConnection(adapter_pb2.CheckConnectionRequest(connection_id="c"))
        )
    assert (failure.code.name, failure.info.reason, failure.source) == (code, reason, source)
    assert states[-1] == f"CONNECTION_STATE_{state}"
    assert again.code is failure.code
    assert unknown.code is grpc.StatusCode.NOT_FOUND
    if url == "http://wrong":
        fields = [violation.field for violation in failure.bad.field_violations]
        assert fields == ["settings.url", "settings"]
    if url == "http://broken":
        assert "a defect" not in failure.message
    if url == "http://refused":
        assert failure.info.metadata["remedy"] == "change the token"


async def test_connect_again_answers_what_it_did_and_other_settings_replace() -> None:
    async with launched("Connecting") as host:
        first = await host.connect(url="http://a")
        assert first.status.state == READY
        assert await host.connect(url="http://a") == first
        second = await host.connect(url="http://b")
        assert second.agent_settings[0].value == "2"
        await host.process.logged("disconnect c http://a")
        request = adapter_pb2.ConnectRequest(connection_id="c", mode=adapter_pb2.MODE_EMULATOR)
        request.settings.update({"url": "http://b"})
        assert (await host.stub.Connect(request)).agent_settings[0].value == "3"
        await host.process.logged("connect c EMULATOR http://b")
        both = await asyncio.gather(host.connect("d", url="http://a"), host.connect("d", url="http://a"))
        assert both[0] == both[1]


async def test_a_mode_that_is_not_declared_is_refused() -> None:
    async with launched("Echo") as host:
        request = adapter_pb2.ConnectRequest(connection_id="c", mode=9)  # type: ignore[arg-type]
        failure = await failed(host.stub.Connect(request))
    assert failure.code is grpc.StatusCode.FAILED_PRECONDITION
    assert "LIVE, EMULATOR" in failure.message


async def test_a_connection_needs_an_id() -> None:
    async with launched("Echo") as host:
        failure = await failed(host.connect(""))
    assert failure.code is grpc.StatusCode.INVALID_ARGUMENT


async def test_disconnect_ends_the_connections_sessions_and_no_others() -> None:
    async with conversing("Echo") as host:
        await host.connect("other")
        talk = await host.open()
        await talk.until("opened")
        other = await host.open(connection_id="other")
        await other.until("opened")
        await host.stub.Disconnect(adapter_pb2.DisconnectRequest(connection_id="c"))
        await host.stub.Disconnect(adapter_pb2.DisconnectRequest(connection_id="c"))
        failure = await talk.failure()
        assert failure.code is grpc.StatusCode.UNAVAILABLE
        assert failure.info.reason == "DISCONNECTED"
        await other.say("m", "still here")
        await other.until("turn_complete")
        assert (await (await host.open()).failure()).code is grpc.StatusCode.NOT_FOUND


async def test_check_says_what_the_probe_found() -> None:
    async with conversing("Echo") as host:
        answer = await host.stub.CheckConnection(adapter_pb2.CheckConnectionRequest(connection_id="c"))
    assert answer.status.state == READY
    assert answer.status.connection_id == "c"
    assert answer.took.ToNanoseconds() > 0


async def test_watchers_see_each_state_as_it_is_and_as_it_changes() -> None:
    async with conversing("Connecting") as host:
        watch = host.watch()
        assert (await watch.state()).state == READY
        talk = await host.open()
        await talk.say("m", "the platform fell over")
        status = await watch.state()
        assert (status.state, status.reason, status.remedy) == (FAILED, "the platform fell over", "wait")
        late = host.watch()
        assert (await late.state()) == status
