"""What an adapter writes to its log, and what never reaches it."""

import re
from dataclasses import dataclass

import pytest
from mimic.adapter.v1 import adapter_pb2
from mimic_plugin_sdk import MediaKind
from mimic_plugin_sdk._redact import add_secrets, redacted
from pydantic import BaseModel, SecretBytes, SecretStr

from tests.plugin_sdk.host import conversing, launched

TOKEN = 'tok"en/with + every? sign'


async def test_what_is_printed_anywhere_lands_in_the_log() -> None:
    async with conversing("Noisy") as host:
        talk = await host.open("s-1")
        await talk.until("opened")
        for text in ("from import", "from start", "from converse", "from C", "from a child"):
            line = await host.process.logged(text)
            assert line["@message"] == text
            assert line["@level"] == "info"
            assert line["@module"] == "stdout"


async def test_log_lines_are_objects_of_strings() -> None:
    async with conversing("Noisy") as host:
        talk = await host.open("s-1")
        await talk.say("m", "x")
        await talk.failure()
        line = await host.process.logged("in a session")
        assert line["session_id"] == "s-1"
        assert line["@module"] == "probe"
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", line["@timestamp"])
        defect = await host.process.logged("a defect of the adapter")
        assert defect["@level"] == "error"
        assert "ZeroDivisionError" in defect["traceback"]
    assert all(isinstance(value, str) for line in host.process.log for value in line.values())


async def test_the_level_is_configured() -> None:
    async with launched("Noisy", MIMIC_LOG_LEVEL="error") as host:
        await host.connect()
        talk = await host.open()
        await talk.say("m", "x")
        await talk.failure()
        await host.process.logged("a defect of the adapter")
    assert not any("in a session" in line for line in host.process.lines)


@pytest.mark.parametrize("text", ["raise", "fault", "go on"])
async def test_a_secret_is_redacted_wherever_it_would_leave(text: str) -> None:
    async with conversing("Secretive", token=TOKEN, nested={"inner": "deep secret"}) as host:
        request = adapter_pb2.CheckConnectionRequest(connection_id="c")
        checked = await host.stub.CheckConnection(request)
        assert checked.status.state == adapter_pb2.CONNECTION_STATE_BAD_CREDENTIALS
        assert checked.status.reason == "refused [redacted]"
        watched = await host.watch().state()
        talk = await host.open(capture_raw=True)
        await talk.say("m", text)
        if text == "go on":
            await talk.close()
            await talk.rest()
            told = ""
        else:
            failure = await talk.failure()
            told = f"{failure.message} {failure.info}"
        host.process.process.terminate()
        await host.process.ended()
    raws = [event.raw for event in talk.events if event.HasField("raw")]
    assert [raw.label for raw in raws] == ["POST [redacted]", ""]
    assert raws[0].payload == "auth: [redacted]"
    assert len(raws[1].payload) == 64 * 1024
    assert raws[1].payload.endswith("x[reda")
    everything = "\n".join([*host.process.lines, told, str(talk.events), str(watched)])
    assert "[redacted]" in everything
    assert "with + every" not in everything
    assert "tok" not in raws[1].payload


async def test_secrets_are_found_wherever_settings_hold_them() -> None:
    class Inner(BaseModel):
        key: SecretStr
        kind: MediaKind = MediaKind.IMAGE

    @dataclass
    class Plain:
        token: SecretStr

    class Settings(BaseModel):
        inner: Inner
        listed: list[SecretStr]
        raw: SecretBytes
        plain: Plain

    add_secrets(
        Settings(
            inner=Inner(key=SecretStr("in-a-model")),
            listed=[SecretStr("in-a-list")],
            raw=SecretBytes(b"as-bytes"),
            plain=Plain(SecretStr("in-a-dataclass")),
        )
    )
    text = redacted("in-a-model in-a-list as-bytes in-a-dataclass in the open")
    assert text == "[redacted] [redacted] [redacted] [redacted] in the open"


async def test_the_agents_author_is_told_the_secret_on_purpose() -> None:
    async with launched("Secretive") as host:
        answer = await host.connect(token=TOKEN)
    assert answer.agent_settings[0].value == TOKEN
    assert answer.agent_settings[0].secret
    assert answer.status.reason == "half of [redacted]"
