"""Templates: what is inserted cannot break out of its place."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mimic_adapter_rest.templates import (
    FORM,
    HEADER,
    JSON,
    PATH,
    PLAIN,
    Filled,
    TemplateFaultError,
    for_content_type,
)


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_no_value_breaks_out_of_json(text: str) -> None:
    source = '{"bare": {{ text }}, "inside": "<{{ text }}>\\" {{text}}", "list": {{ [text, 1, none] }}}'
    filled = json.loads(Filled(source, JSON, {"text"}).fill({"text": text}))
    assert filled == {"bare": text, "inside": f'<{text}>" {text}', "list": [text, 1, None]}


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_no_value_breaks_out_of_a_header_or_path(text: str) -> None:
    header = Filled("{{ text }}", HEADER, {"text"}).fill({"text": text})
    assert header.isascii()
    assert header.isprintable()
    path = Filled("{{ text }}", PATH, {"text"}).fill({"text": text})
    assert not set(path) & set('/?#& \r\n"')
    form = Filled("{{ text }}", FORM, {"text"}).fill({"text": text})
    assert not set(form) & set("&=\r\n")


def test_blocks_and_strings() -> None:
    source = (
        '{"a": "{% if x %}{{ x }}{% else %}none{% endif %}", {%- raw %} "{{": {% endraw %}{{ x }}{# no #}}'
    )
    filled = Filled(source, JSON, {"x"})
    assert json.loads(filled.fill({"x": 'q"'})) == {"a": 'q"', "{{": 'q"'}
    assert json.loads(filled.fill({"x": 0})) == {"a": "none", "{{": 0}


def test_templates_are_in_a_sandbox() -> None:
    for source in (
        "{{ ''.__class__.__mro__ }}",
        "{{ text.__init__.__globals__ }}",
        "{{ saved.update(a=1) }}",
    ):
        with pytest.raises(TemplateFaultError):
            Filled(source, PLAIN, {"text", "saved"}).fill({"text": "x", "saved": {}})


def test_a_constant_is_filled_once() -> None:
    assert Filled("/chat", PATH, ()).constant == "/chat"
    assert Filled("/{{ x }}", PATH, {"x"}).constant is None


def test_values_are_inserted_as_the_body_needs() -> None:
    assert for_content_type("application/vnd.api+json; charset=utf-8") is JSON
    assert for_content_type("application/x-www-form-urlencoded") is FORM
    assert for_content_type("text/plain") is PLAIN
