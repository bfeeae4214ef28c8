from __future__ import annotations

import asyncio
import uuid

import pytest
from mimic_server.domain.adapters import AdapterState, ConnectionState
from mimic_server.domain.agents import Connection, ConnectionSpec, Mode
from mimic_server.domain.errors import FaultError, InvalidInputError
from mimic_server.domain.faults import FaultSource
from mimic_server.domain.ids import ConnectionId
from mimic_server.domain.ports import ConversationLost
from mimic_server.host import PluginHost
from mimic_server.host.secrets import Redactor, secrets_in

from tests.server.host.playground import Chat, Hosts, connection, logged, status_of, until

SECRET = "hunter2-hunter2"


async def test_a_connection_comes_up_and_tells_what_the_agent_sets(hosts: Hosts) -> None:
    host = hosts("good")
    over = connection("good", token=SECRET)
    connected = await host.connect(over)
    assert connected.status.state is ConnectionState.READY
    assert connected.status.connection_id == over.id
    assert [(setting.name, setting.env_var) for setting in connected.agent_settings] == [("Base", "BASE")]
    assert await host.connect(over) == connected
    assert host.connection_status("good", over.id) == connected.status


async def times_connected(host: PluginHost, over: Connection) -> int:
    lines = [line.message async for line in host.logs("good", follow=False)]
    return sum(line.startswith(f"connected {over.id}") for line in lines)


async def test_the_same_settings_again_change_nothing_and_others_replace_them(hosts: Hosts) -> None:
    host = hosts("good")
    over = connection("good", token="first-token")
    await asyncio.gather(*(host.connect(over) for _ in range(5)))
    await logged(host, "good", f"connected {over.id}")
    assert await times_connected(host, over) == 1
    await host.connect(connection("good", over.id, token="second-token"))
    await asyncio.wait_for(logged(host, "good", f"connected {over.id}"), 5)
    chat = await Chat.open(host, connection("good", over.id, token="second-token"))
    await chat.say("hello")
    assert await times_connected(host, over) == 2


async def test_settings_that_are_refused_name_the_field_and_not_the_secret(hosts: Hosts) -> None:
    host = hosts("good")
    over = connection("good", token=SECRET, answer="invalid")
    with pytest.raises(InvalidInputError) as caught:
        await host.connect(over)
    violation = caught.value.violations[0]
    assert violation.field == "settings.token"
    assert violation.description == "the token [redacted] is no token"
    assert host.connection_status("good", over.id) is None


async def test_a_mode_that_the_adapter_has_not(hosts: Hosts) -> None:
    over = Connection(ConnectionId(uuid.uuid4()), ConnectionSpec(channel="good", mode=Mode.LIVE, settings={}))
    with pytest.raises(InvalidInputError) as caught:
        await hosts("good").connect(over)
    assert caught.value.violations[0].field == "mode"
    assert "EMULATOR" in caught.value.violations[0].description


async def test_settings_that_json_has_not(hosts: Hosts) -> None:
    with pytest.raises(InvalidInputError):
        await hosts("good").connect(connection("good", token={1, 2}))


async def test_refused_credentials_are_the_channels_and_not_a_crash(hosts: Hosts) -> None:
    host = hosts("good")
    over = connection("good", token=SECRET, answer="refused")
    with pytest.raises(FaultError) as caught:
        await host.connect(over)
    fault = caught.value.fault
    assert (fault.source, fault.reason) == (FaultSource.CHANNEL, "TOKEN_REVOKED")
    assert (fault.message, fault.remedy) == ("the platform refuses [redacted]", "make another token")
    status = host.connection_status("good", over.id)
    assert status is not None
    assert status.state is ConnectionState.BAD_CREDENTIALS
    assert status_of(host, "good").state is AdapterState.READY
    with pytest.raises(FaultError) as caught:
        await Chat.open(host, over)
    assert caught.value.fault.reason == "TOKEN_REVOKED"


async def test_an_agent_that_cannot_be_reached_is_the_agents(hosts: Hosts) -> None:
    host = hosts("good")
    over = connection("good", answer="unreachable")
    with pytest.raises(FaultError) as caught:
        await host.connect(over)
    assert caught.value.fault.source is FaultSource.AGENT
    status = host.connection_status("good", over.id)
    assert status is not None
    assert status.state is ConnectionState.FAILED


async def test_a_crash_while_connecting_is_the_adapters(hosts: Hosts) -> None:
    host = hosts("good")
    over = connection("good", answer="crash")
    with pytest.raises(FaultError) as caught:
        await host.connect(over)
    assert (caught.value.fault.source, caught.value.fault.reason) == (FaultSource.ADAPTER, "ADAPTER_LOST")
    with pytest.raises(ConversationLost):
        await Chat.open(host, over)


async def test_a_probe_brings_the_connection_up_first(hosts: Hosts) -> None:
    host = hosts("good")
    over = connection("good")
    status = await host.check(over)
    assert (status.state, status.reason, status.took_ms) == (ConnectionState.DEGRADED, "slow", 12.0)
    chat = await Chat.open(host, over)
    await chat.turn("forget-connections")
    assert (await host.check(over)).state is ConnectionState.DEGRADED


async def test_changes_are_watched(hosts: Hosts) -> None:
    host = hosts("good")
    over = connection("good")
    chat = await Chat.open(host, over)
    await chat.turn("log-out")
    while (status := host.connection_status("good", over.id)) and status.state is ConnectionState.READY:
        await chat.turn("log-out")
    assert status is not None
    assert (status.state, status.reason) == (ConnectionState.BAD_CREDENTIALS, "the platform logged us out")


async def test_connections_are_up_again_after_a_restart(hosts: Hosts) -> None:
    host = hosts("good")
    kept, dropped = connection("good"), connection("good")
    await host.connect(kept)
    await host.connect(dropped)
    await host.disconnect("good", dropped.id)
    await host.restart("good")
    assert await (await Chat.open(host, kept)).say("hello") == "hello"
    assert host.connection_status("good", dropped.id) is None


async def test_a_connection_that_the_adapter_forgot_is_brought_up_again(hosts: Hosts) -> None:
    host = hosts("good")
    over = connection("good")
    chat = await Chat.open(host, over)
    await chat.turn("forget-connections")
    assert await (await Chat.open(host, over)).say("hello") == "hello"


async def test_taking_down_what_was_never_up(hosts: Hosts) -> None:
    host = hosts("good")
    await host.disconnect("good", uuid.uuid4())
    await host.disconnect("nothing", uuid.uuid4())
    await host.start(["good"])
    await host.disconnect("good", uuid.uuid4())


async def test_a_connection_asked_for_during_a_restart_waits(hosts: Hosts) -> None:
    host = hosts("good")
    over = connection("good")
    chat = await Chat.open(host, over)
    chat.send("crash")
    await chat.end()
    assert (await host.connect(over)).status.state is ConnectionState.READY
    await until(host, "good", AdapterState.READY)


def test_secrets_are_found_by_the_schema() -> None:
    schema = """{
      "properties": {
        "url": {"type": "string"},
        "token": {"type": "string", "writeOnly": true},
        "auth": {"$ref": "#/$defs/Auth"},
        "many": {"items": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/Auth"}]}},
        "headers": {"additionalProperties": {"writeOnly": true}}
      },
      "$defs": {"Auth": {"properties": {"key": {"writeOnly": true}, "self": {"$ref": "#/$defs/Auth"}}}}
    }"""
    settings = {
        "url": "https://agent",
        "token": "token-1",
        "auth": {"key": "key-1", "self": {"key": "key-2"}},
        "many": [None, {"key": "key-3"}],
        "headers": {"a": "header-1", "b": ["header-2", 5]},
        "unknown": "not known",
        "short": "abc",
    }
    found = secrets_in(settings, schema)
    assert found == {"token-1", "key-1", "key-2", "key-3", "header-1", "header-2"}
    assert secrets_in(settings, "{") == secrets_in(settings, "[]") == secrets_in(settings, "") == set()


def test_a_redactor_hides_each_form_of_a_secret_until_it_is_forgotten() -> None:
    redactor = Redactor()
    first, second = uuid.uuid4(), uuid.uuid4()
    redactor.learn(first, {'quo"te', "longer-quote"})
    redactor.learn(second, {"longer"})
    assert redactor.text('a quo"te, a quo\\"te, longer-quote, longer') == (
        "a [redacted], a [redacted], [redacted], [redacted]"
    )
    redactor.forget(first)
    redactor.forget(first)
    assert redactor.text("longer-quote") == "[redacted]-quote"
    redactor.forget(second)
    assert redactor.text("longer") == "longer"
