"""A command for every RPC, made from the descriptors: a new RPC appears here by itself."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from typing import Any

import click
import grpc
from google.protobuf import message_factory
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor, ServiceDescriptor
from google.protobuf.json_format import ParseDict, ParseError
from rich.console import Console

from mimic_server.cli import client, render
from mimic_server.cli.descriptors import comment, required, services, summary
from mimic_server.cli.errors import CommandError, Exit, raise_for
from mimic_server.cli.fields import Flag, JsonType, argument, flags_of, named, option, put, with_enums

_GROUPS = {"AdapterAdminService": "adapters", "ServerService": "server"}
_AS_FLAG = "__flag"
"""Ends the parameter of a word that is given as a flag."""


def group_name(service: ServiceDescriptor) -> str:
    """What a service's commands are grouped under: `AgentService` under `agents`."""
    if service.name in _GROUPS:
        return _GROUPS[service.name]
    return _dashed(service.name.removesuffix("Service")) + "s"


def command_name(method: MethodDescriptor) -> str:
    """An RPC's command: `CreateAgent` of `AgentService` is `create`, `ListMessages` is `list-messages`."""
    service = method.containing_service.name.removesuffix("Service").removesuffix("Admin")
    plural = f"{service}s"
    name: str = method.name
    for noun in (plural, service):
        if name.endswith(noun) and name != noun:
            return _dashed(name.removesuffix(noun))
    return _dashed(name)


def groups() -> Iterator[click.Group]:
    """A group for each service, with a command for each RPC."""
    for service in services():
        text = comment(service)
        group = click.Group(group_name(service), help=text.split("\n\n")[0], short_help=summary(text))
        for method in service.methods:
            group.add_command(_command(method))
        yield group


def _command(method: MethodDescriptor) -> click.Command:
    text = comment(method)
    flags = named(flags_of(method.input_type))
    params: list[click.Parameter] = []
    word = _word(method)
    for name, flag in flags.items():
        if name == word:
            params.append(argument(name, flag))
            params.append(option(name, flag, f"{name}{_AS_FLAG}"))
        else:
            params.append(option(name, flag))
    params.append(
        click.Option(
            ["body", "--json"],
            type=JsonType(),
            metavar="JSON",
            help="The whole request as JSON, @file or - for standard input; other flags come on top of it.",
        )
    )
    params.append(
        click.Option(
            ["output", "--output", "-o"],
            type=click.Choice(["table", "json", "yaml"]),
            default="table",
            help="How the answer is printed.",
        )
    )

    @click.pass_context
    def call(context: click.Context, /, body: dict[str, Any] | None, output: str, **values: Any) -> None:
        _call(context, method, _request(method, body, flags, values), output)

    return click.Command(
        command_name(method), callback=call, params=params, help=_help(text), short_help=summary(text)
    )


def _word(method: MethodDescriptor) -> str | None:
    """The first required string of a request, which stands without a flag. Returns None if there is none."""
    words = [
        field.name
        for field in method.input_type.fields
        if required(field) and field.cpp_type == FieldDescriptor.CPPTYPE_STRING and not field.is_repeated
    ]
    return words[0] if words else None


def _help(text: str) -> str:
    """A comment as click prints it: paragraphs filled, the errors as a list."""
    return re.sub(r"(?m)^Errors: ", "Errors: ", text)


def _request(method: MethodDescriptor, body: Any, flags: dict[str, Flag], values: dict[str, Any]) -> Any:
    if body is not None and not isinstance(body, dict):
        raise CommandError("--json: a request is a JSON object", Exit.USAGE)
    request: dict[str, Any] = dict(body or {})
    for name, value in values.items():
        if value is None or value == ():
            continue
        word = name.removesuffix(_AS_FLAG)
        if word != name and values.get(word) is not None:
            raise CommandError(f"{word} is given twice: as a word and as a flag", Exit.USAGE)
        put(request, flags[word], value)
    message = message_factory.GetMessageClass(method.input_type)()
    try:
        ParseDict(with_enums(request, method.input_type), message)
    except ParseError as error:
        raise CommandError(" ".join(str(error).split()), Exit.USAGE) from None
    return message


def _call(context: click.Context, method: MethodDescriptor, request: Any, output: str) -> None:
    # A table that goes into a file or a pipe is not cut to a width that nobody has.
    console = Console(soft_wrap=True, width=None if sys.stdout.isatty() else 240)
    where = context.find_root().params
    target = client.find(where.get("address"), where.get("api_key"), where.get("data_dir"))
    path = f"/{method.containing_service.full_name}/{method.name}"
    answer_type = message_factory.GetMessageClass(method.output_type)
    with target.channel() as channel:
        try:
            if method.server_streaming:
                stream: grpc.UnaryStreamMultiCallable[Any, Any] = channel.unary_stream(
                    path,
                    request_serializer=lambda message: message.SerializeToString(),
                    response_deserializer=answer_type.FromString,
                )
                events = render.Events(output, console)
                for answer in stream(request, metadata=target.metadata):
                    events.show(answer)
            else:
                unary: grpc.UnaryUnaryMultiCallable[Any, Any] = channel.unary_unary(
                    path,
                    request_serializer=lambda message: message.SerializeToString(),
                    response_deserializer=answer_type.FromString,
                )
                render.show(unary(request, metadata=target.metadata), output, console)
        except grpc.RpcError as error:
            raise_for(error, target.address)


def _dashed(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name).lower()
