"""Commands for RPCs: made from the descriptors, so these tests look at rules, not at a list."""

from typing import Any

import click
import pytest
from click.testing import CliRunner
from google.protobuf.descriptor import MethodDescriptor
from mimic_server.cli.commands import command_name, group_name, groups
from mimic_server.cli.descriptors import comment, services
from mimic_server.cli.errors import Exit
from mimic_server.cli.fields import choices, flags_of, named, put, with_enums

METHODS = [method for service in services() for method in service.methods]


def commands() -> dict[tuple[str, str], click.Command]:
    return {(str(g.name), name): command for g in groups() for name, command in g.commands.items()}


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.full_name)
def test_every_rpc_has_a_command_with_help_for_each_flag(method: MethodDescriptor) -> None:
    command = commands()[group_name(method.containing_service), command_name(method)]
    assert command.help
    assert command.short_help
    assert len(named(flags_of(method.input_type))) == len(flags_of(method.input_type))
    for param in command.params:
        if isinstance(param, click.Option):
            assert param.help, param.name


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.full_name)
def test_every_rpc_and_every_field_is_documented(method: MethodDescriptor) -> None:
    seen = set()

    def look(message: Any) -> None:
        if message.full_name in seen or not message.full_name.startswith("mimic."):
            return
        seen.add(message.full_name)
        assert comment(message) or message.GetOptions().map_entry, message.full_name
        for field in message.fields:
            assert comment(field) or message.GetOptions().map_entry, field.full_name
            if field.message_type is not None:
                look(field.message_type)
            if field.enum_type is not None:
                for value in field.enum_type.values:
                    assert comment(value), f"{field.enum_type.full_name}.{value.name}"

    assert "Errors: " in comment(method)
    look(method.input_type)
    look(method.output_type)


@pytest.mark.parametrize(
    "group,name",
    [
        ("agents", "create"),
        ("agents", "add-connection"),
        ("sessions", "watch"),
        ("sessions", "list-messages"),
        ("personas", "generate"),
        ("api-keys", "revoke"),
        ("adapters", "watch-logs"),
        ("runs", "get-report"),
        ("server", "get-info"),
    ],
)
def test_names_are_what_people_expect(group: str, name: str) -> None:
    assert (group, name) in commands()


def test_flags_set_nested_fields_and_enums() -> None:
    method = next(m for m in METHODS if m.name == "CreateEvaluation")
    flags = named(flags_of(method.input_type))
    body: dict[str, object] = {}
    put(body, flags["name"], "polite")
    put(body, flags["metric"], "latency_ms")
    put(body, flags["method"], "LLM_match")
    put(body, flags["pass_criteria_pass"], "<= 1")
    assert body == {
        "evaluation": {
            "name": "polite",
            "metric": "METRIC_LATENCY_MS",
            "method": "METHOD_LLM_MATCH",
            "pass_criteria": {"pass": "<= 1"},
        }
    }


def test_enum_words_have_no_prefix_and_no_unspecified() -> None:
    method = next(m for m in METHODS if m.name == "CreateApiKey")
    role = named(flags_of(method.input_type))["role"].field.enum_type
    assert role is not None
    assert choices(role) == {"viewer": "ROLE_VIEWER", "member": "ROLE_MEMBER", "admin": "ROLE_ADMIN"}


def test_a_word_is_a_flag_too() -> None:
    for command in commands().values():
        options = {name for param in command.params if isinstance(param, click.Option) for name in param.opts}
        for param in command.params:
            if isinstance(param, click.Argument):
                assert f"--{str(param.name).replace('_', '-')}" in options
    result = CliRunner().invoke(commands()["agents", "get"], ["a", "--agent-id", "b"])
    assert result.exit_code == Exit.USAGE
    assert "given twice" in result.output


def test_required_is_said_where_it_holds() -> None:
    def told(group: str, name: str, flag: str) -> bool:
        (param,) = (p for p in commands()[group, name].params if flag in p.opts)
        assert isinstance(param, click.Option)
        return "(required)" in str(param.help)

    assert told("personas", "create", "--name")
    assert not told("personas", "update", "--name")


def test_enum_words_are_understood_in_json_at_any_depth() -> None:
    method = next(m for m in METHODS if m.name == "CreateEvaluation")
    body = {"evaluation": {"metric": "latency_ms", "method": "METHOD_LLM_MATCH", "name": "boolean", "x": "y"}}
    assert with_enums(body, method.input_type) == {
        "evaluation": {
            "metric": "METRIC_LATENCY_MS",
            "method": "METHOD_LLM_MATCH",
            "name": "boolean",
            "x": "y",
        }
    }
    listing = next(m for m in METHODS if m.name == "ListSessions")
    assert with_enums({"states": ["failed"]}, listing.input_type) == {"states": ["SESSION_STATE_FAILED"]}
