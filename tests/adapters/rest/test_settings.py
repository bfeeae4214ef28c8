"""Settings that cannot work are refused, each fault with its field and where in it."""

import json
import re
import subprocess
import sys
from typing import Any

import pytest
from mimic_adapter_rest.presets import with_preset
from mimic_adapter_rest.profile import compile_profile
from mimic_adapter_rest.settings import RestSettings

from tests.adapters.rest.hosting import Rest
from tests.support.processes import ROOT

_URL = "http://127.0.0.1:8700/chat"


@pytest.mark.parametrize(
    "settings, field, text",
    [
        ({"url": "ftp://host/"}, "url", "begins with http:// or https://"),
        ({"url": "http://"}, "url", "begins with http:// or https://"),
        ({"url": "http://host:x/"}, "url", "no address"),
        ({"url": "http://me:pw@host/"}, "url", "no credentials"),
        ({"preset": "teletext"}, "preset", "should be"),
        ({"body": '{"a": {{ text }'}, "body", "line 1"),
        ({"body": '{\n"a": {% if %}}'}, "body", "line 2"),
        ({"body": '{"a": {{ txt }}}'}, "body", "there is no txt; there are"),
        ({"body": '{"a": {{ saved.x }}}'}, "body", "no attribute 'x'"),
        ({"body": '{"a": {{ text }}'}, "body", "gives no JSON"),
        ({"body": '{"a": {{ choice.id }}}'}, "body", "cannot be filled in"),
        ({"path": "/{{ nothing }}"}, "path", "there is no nothing"),
        ({"headers": {"X-A": "{{ nothing }}"}}, "headers.X-A", "there is no nothing"),
        ({"headers": {"X-A": "a\r\nX-B: b"}}, "headers.X-A", "control character"),
        ({"headers": {"Content-Length": "1"}}, "headers.Content-Length", "by the adapter itself"),
        ({"headers": {"X A": "b"}}, "headers.X A", "no name of a header"),
        ({"secret_headers": {"X-A": "a\n"}}, "secret_headers.X-A", "control character"),
        ({"token": "a\r\nb"}, "token", "control character"),
        ({"query": {"q": "{{ nothing }}"}}, "query.q", "there is no nothing"),
        ({"reply": {"text": "$.a["}}, "reply.text", "character 5"),
        ({"reply": {"text": "reply"}}, "reply.text", "character 1: a path begins with $"),
        ({"reply": {"text": "$.a | b"}}, "reply.text", "character 7: a path begins with $"),
        ({"reply": {"text": ""}}, "reply.text", "is needed"),
        ({"reply": {"choices": "$[?@.a=="}}, "reply.choices", "character"),
        ({"remember": {"x": "$["}}, "remember.x", "character"),
        ({"remember": {"items": "$.x"}}, "remember.items", "cannot use"),
        ({"variables": {"text": "x"}}, "variables.text", "have already"),
        ({"streaming": {"events": {"*": {"delta": "$["}}}}, "streaming.events.*.delta", "character"),
        ({"poll": {"path": "/{{ nothing }}"}}, "poll.path", "there is no nothing"),
        ({"poll": {"interval_seconds": 0}}, "poll.interval_seconds", "greater than 0"),
        ({"setup": {"body": "{{ nothing }}"}}, "setup.body", "there is no nothing"),
        ({"body": "{{ callback_url }}"}, "callback", "is needed"),
        ({"callback": {"ends": "never"}}, "callback.ends", "answer, quiet, or a path"),
        ({"callback": {"listen": "here"}}, "callback.listen", "host:port"),
        ({"callback": {"public_url": "here"}}, "callback.public_url", "begins with http"),
        ({"ca_file": "/nowhere.pem"}, "ca_file", "cannot be read"),
        ({"timeout_seconds": "soon"}, "timeout_seconds", "valid number"),
        ({"no_such": 1}, "no_such", "not permitted"),
    ],
)
async def test_wrong_settings(rest: Rest, settings: dict[str, Any], field: str, text: str) -> None:
    found = await rest.refusal(**{"url": _URL, **settings})
    assert text in found[f"settings.{field}"], found


async def test_all_faults_are_told_at_once(rest: Rest) -> None:
    found = await rest.refusal(url="ftp://x", body="{{ a }}", reply={"text": "$[", "media": "$["})
    assert set(found) == {"settings.url", "settings.body", "settings.reply.text", "settings.reply.media"}


async def test_a_secret_stays_out_of_what_is_told(rest: Rest) -> None:
    token = "token of the tests\n"
    found = await rest.refusal(url=_URL, token=token, body="{{ nothing }}")
    assert token.strip() not in str(found)


def test_the_examples_of_the_readme_are_settings() -> None:
    readme = (ROOT / "adapters/rest/README.md").read_text("utf-8")
    examples = re.findall(r"(?:^    .*\n)+", readme, re.MULTILINE)
    assert examples
    for example in examples:
        left = example.strip()
        while left:
            given, end = json.JSONDecoder().raw_decode(left)
            left = left[end:].strip()
            compile_profile(with_preset(RestSettings.model_validate(given)))


def test_secrets_are_marked_in_the_schema() -> None:
    schema = RestSettings.model_json_schema()
    secret = {"format": "password", "type": "string", "writeOnly": True}
    assert schema["properties"]["token"]["anyOf"][0] == secret
    assert schema["properties"]["secret_headers"]["additionalProperties"] == secret
    assert schema["properties"]["secret_query"]["additionalProperties"] == secret
    assert schema["$defs"]["Callback"]["properties"]["secret"]["anyOf"][0] == secret
    assert all("description" in field for field in schema["properties"].values())


def test_what_needs_the_http_client_is_not_imported_at_the_start() -> None:
    code = "import json, sys, mimic_adapter_rest.adapter; print(json.dumps(sorted(sys.modules)))"
    loaded = json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)
    assert not {"aiohttp", "jinja2", "jsonpath", "yarl", "multidict"} & set(loaded)
