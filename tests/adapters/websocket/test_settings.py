"""Settings that cannot work are refused, each fault by its field, and where in it."""

import re
from typing import Any

import pytest
import yaml
from mimic_adapter_websocket.presets import load, with_preset
from mimic_adapter_websocket.profile import compile_profile
from mimic_adapter_websocket.settings import Preset, WebSocketSettings

from tests.adapters.websocket.hosting import Adapter
from tests.support.processes import ROOT

WHOLE: dict[str, Any] = {"message": {"whole": "$"}}


@pytest.mark.parametrize(
    "settings,field,text",
    [
        ({"url": "ftp://x/"}, "url", "ws:// or wss://"),
        ({"url": "ws://"}, "url", "host"),
        ({"url": "ws://a:b@x/"}, "url", "no credentials"),
        ({"url": "ws://x/#a"}, "url", "fragment"),
        ({"send": ['{"a": {{ text }}', "{{ text"]}, "send.0", "character"),
        ({"send": ["{{ text"]}, "send.0", "line 1"),
        ({"send": ["{{ nothing }}"]}, "send.0", "there is no nothing; there are attempt"),
        ({"send": ["{{ saved.nothing }}"]}, "send.0", "nothing"),
        ({"send": ["plain"]}, "send.0", "is not JSON"),
        ({"send": ['{"a": 1}', '\n{"a": {{ text.__class__ }}}']}, "send.1", "unsafe"),
        ({"send": []}, "send", "at least one"),
        ({"format": "socket-io", "send": ['{"a": 1}']}, "send.0", "Engine.IO"),
        ({"kind": "type"}, "kind", "character 1: a path begins with $"),
        ({"kind": "$.a["}, "kind", "character 5"),
        ({"kind": ""}, "kind", "is needed"),
        ({"reply": {"text": "$.a | b"}}, "reply.text", "character 7"),
        ({"reply": {"text": ""}}, "reply.text", "is needed"),
        ({"frames": {"message": {"done": "$["}}}, "frames.message.done", "character 3"),
        ({"frames": {"x": {"answer": "{"}}}, "frames.x.answer", "is not JSON"),
        ({"frames": {"x": {"remember": {"n": "n"}}}}, "frames.x.remember.n", "character 1"),
        ({"hello": [{}]}, "hello.0", "`send` or `expect`"),
        ({"hello": [{"send": "{{"}]}, "hello.0.send", "line 1"),
        ({"resume": {"hello": [{"send": "{{"}]}}, "resume.hello.0.send", "line 1"),
        ({"resume": {"query": {"a": "{{ b }}"}}}, "resume.query.a", "there is no b"),
        ({"resume": {"resumed": "$.x"}}, "resume.resumed", "`expect`"),
        ({"resume": {"last_id": "x"}}, "resume.last_id", "character 1"),
        ({"headers": {"Upgrade": "x"}}, "headers.Upgrade", "adapter itself"),
        ({"headers": {"X": "a\nb"}}, "headers.X", "control character"),
        ({"secret_headers": {"X": "a\nb"}}, "secret_headers.X", "control character"),
        ({"token": "a\nb"}, "token", "control character"),
        ({"secret_subprotocols": ["a b"]}, "secret_subprotocols.0", "subprotocol"),
        ({"variables": {"text": "x"}}, "variables.text", "already"),
        ({"path": "{{ x }}"}, "path", "there is no x"),
        ({"query": {"a": "{{ 1 / 0 }}"}}, "query.a", "ZeroDivisionError"),
        ({"ping": {"send": "{"}}, "ping.send", "is not JSON"),
        ({"bye": "{{ text"}, "bye", "line 1"),
        ({"ca_file": "/nowhere.pem"}, "ca_file", "cannot be read"),
        ({"preset": "text", "one_at_a_time": True}, "one_at_a_time", "`done`"),
        ({"preset": "text", "frames": {"*": {"whole": ""}}}, "frames", "could say nothing"),
        ({"preset": "text", "frames": {"*": {"whole": "", "delta": "$"}}}, "frames", "never end"),
        ({"close_codes": {"99": "ended"}}, "close_codes", ""),
        ({"close_codes": {"4000": "maybe"}}, "close_codes.4000", ""),
        ({"frames": {"x": {"nothing": "$"}}}, "frames.x.nothing", ""),
        ({"max_frame_bytes": 1}, "max_frame_bytes", ""),
    ],
)
async def test_faults_name_their_field(
    adapter: Adapter, settings: dict[str, Any], field: str, text: str
) -> None:
    violations = await adapter.refusal(**({"url": "ws://127.0.0.1:1/"} | settings))
    found = {name: said for name, said in violations.items() if name.startswith(f"settings.{field}")}
    assert found, violations
    assert any(text in said for said in found.values()), found


async def test_all_faults_are_told_at_once(adapter: Adapter) -> None:
    violations = await adapter.refusal(url="x", kind="$[", send=["{{"], reply={"text": "$["})
    assert {"settings.url", "settings.kind", "settings.send.0", "settings.reply.text"} <= set(violations)


@pytest.mark.parametrize("preset", list(Preset))
def test_every_preset_can_work_and_may_be_changed_in_part(preset: Preset) -> None:
    own = WebSocketSettings.model_validate(
        {"url": "ws://x/", "preset": preset, "frames": {"extra": {"typing": "$"}}, "kind": "$.kind"}
    )
    settings = with_preset(own)
    assert {*load(preset)["frames"], "extra"} == set(settings.frames)
    assert compile_profile(settings).rules["extra"] is not None


def test_the_examples_of_the_readme_can_work() -> None:
    readme = (ROOT / "adapters" / "websocket" / "README.md").read_text("utf-8")
    examples = [yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", readme, re.DOTALL)]
    assert len(examples) > 3
    for example in examples:
        settings = (example.get("channel") or example)["settings"]
        compile_profile(with_preset(WebSocketSettings.model_validate(settings)))


def test_the_readme_names_every_setting() -> None:
    readme = (ROOT / "adapters" / "websocket" / "README.md").read_text("utf-8")
    assert [name for name in WebSocketSettings.model_fields if f"`{name}`" not in readme] == []
