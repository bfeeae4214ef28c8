"""Flags for the fields of a request."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from mimic_server.cli.descriptors import comment, output_only, required

_INTEGERS = {
    FieldDescriptor.CPPTYPE_INT32,
    FieldDescriptor.CPPTYPE_INT64,
    FieldDescriptor.CPPTYPE_UINT32,
    FieldDescriptor.CPPTYPE_UINT64,
}
_FLOATS = {FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT}

# What JSON writes as one string, though it is a message.
_AS_STRING = {
    "google.protobuf.Timestamp": "TIME",
    "google.protobuf.Duration": "SECONDS",
    "google.protobuf.FieldMask": "FIELDS",
}


_WRAPPERS = {"options", "session"}
"""Messages that only keep a request's fields together."""


class JsonType(click.ParamType[Any]):
    """JSON as it stands, `@file`, or `-` for standard input."""

    name = "json"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Reads the text or the file as JSON."""
        if not isinstance(value, str):
            return value
        text = value
        try:
            if value == "-":
                text = sys.stdin.read()
            elif value.startswith("@"):
                text = Path(value[1:]).expanduser().read_text(encoding="utf-8")
            return json.loads(text)
        except OSError as error:
            self.fail(f"{value[1:]}: {error.strerror}", param, ctx)
        except ValueError as error:
            self.fail(f"not JSON: {error}", param, ctx)


@dataclass(frozen=True)
class Flag:
    """One flag, and the field of the request that it sets."""

    path: tuple[str, ...]
    """Names of the fields from the request down, as in the .proto."""
    field: FieldDescriptor
    inside_thing: bool = False
    """Whether the path begins with the thing that is made or changed, such as `agent`."""
    optional: bool = False
    """Whether it may be left out though the field is marked as required: in an update, or in a oneof."""

    @property
    def name(self) -> str:
        """The whole path as one name."""
        return "_".join(self.path)

    @property
    def spoken(self) -> tuple[str, ...]:
        """The path as a person says it."""
        path = self.path[1:] if self.inside_thing else self.path
        return tuple(step for step in path[:-1] if step not in _WRAPPERS) + path[-1:]


def flags_of(request: Descriptor) -> list[Flag]:
    """The flags of a request's fields.

    A required message (the thing that is made, such as `agent`) gives its fields without a prefix; fields of
    other messages have their message's name before theirs.
    """
    flags: list[Flag] = []
    for field in request.fields:
        if output_only(field):
            continue
        if _nests(field):
            thing = required(field)
            flags.extend(
                Flag((field.name, *inner.path), inner.field, thing) for inner in _inner(field, request)
            )
        else:
            flags.append(Flag((field.name,), field))
    return [
        replace(flag, optional=True)
        if _chosen(request, flag.path) or (request.name.startswith("Update") and len(flag.path) > 1)
        else flag
        for flag in flags
    ]


def _chosen(message: Any, path: Sequence[str]) -> bool:
    """Whether a path leads through a oneof."""
    for step in path:
        field = message.fields_by_name[step]
        if field.containing_oneof is not None:
            return True
        message = field.message_type
    return False


def _inner(field: FieldDescriptor, request: Descriptor) -> list[Flag]:
    found = []
    for inner in _message(field).fields:
        # An update names its thing by the id that only the server sets.
        if output_only(inner) and not (inner.name == "id" and request.name.startswith("Update")):
            continue
        if _nests(inner):
            found += [Flag((inner.name, *deeper.path), deeper.field) for deeper in _inner(inner, request)]
        else:
            found.append(Flag((inner.name,), inner))
    return found


def _message(field: FieldDescriptor) -> Any:
    """The descriptor of a field that is a message."""
    return field.message_type


def _nests(field: FieldDescriptor) -> bool:
    """Whether a field's own fields become flags."""
    return (
        field.message_type is not None
        and not field.is_repeated
        and not field.message_type.full_name.startswith("google.protobuf.")
    )


def named(flags: Sequence[Flag]) -> dict[str, Flag]:
    """The flags by the name that a person types: without the thing that is made, and without wrappers."""
    names: dict[str, Flag] = {}
    for flag in flags:
        short = "_".join(flag.spoken)
        names[flag.name if short in names else short] = flag
    return names


def option(name: str, flag: Flag, parameter: str = "") -> click.Option:
    """The flag for click, which calls its value `parameter`. Empty: as the flag."""
    field = flag.field
    text = " ".join(comment(field).split())
    dashed = f"--{name.replace('_', '-')}"
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL and not field.is_repeated:
        return click.Option([parameter or name, f"{dashed}/--no-{dashed[2:]}"], default=None, help=text)
    note = " (required)" if required(field) and not flag.optional else ""
    many = field.is_repeated and not _as_json(field)
    return click.Option(
        [parameter or name, dashed],
        type=_type(field),
        multiple=many,
        help=f"{text}{note}",
        metavar=_metavar(field),
    )


def argument(name: str, flag: Flag) -> click.Argument:
    """The flag as a word without a flag."""
    return click.Argument([name], type=_type(flag.field), required=False)


def _as_json(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.full_name not in _AS_STRING


def _type(field: FieldDescriptor) -> click.ParamType[Any]:
    if _as_json(field):
        return JsonType()
    if field.enum_type is not None:
        return click.Choice(list(choices(field.enum_type)), case_sensitive=False)
    if field.cpp_type in _INTEGERS:
        return click.INT
    if field.cpp_type in _FLOATS:
        return click.FLOAT
    return click.STRING


def _metavar(field: FieldDescriptor) -> str | None:
    if field.message_type is not None:
        return _AS_STRING.get(field.message_type.full_name, "JSON")
    return None


def choices(enum: EnumDescriptor) -> dict[str, str]:
    """An enum's values by the word that a person types: without the enum's own name, in lower case."""
    prefix = enum.values_by_number[0].name.removesuffix("UNSPECIFIED")
    return {value.name.removeprefix(prefix).lower(): value.name for value in enum.values if value.number != 0}


def put(body: dict[str, Any], flag: Flag, value: Any) -> None:
    """Sets a flag's field in a request's JSON."""
    if flag.field.enum_type is not None:
        names = choices(flag.field.enum_type)
        value = [names[v.lower()] for v in value] if flag.field.is_repeated else names[value.lower()]
    elif flag.field.is_repeated and isinstance(value, tuple):
        value = list(value)
    for step in flag.path[:-1]:
        body = body.setdefault(step, {})
    body[flag.path[-1]] = value


def with_enums(body: Any, message: Any) -> Any:
    """A request's JSON with the full names of enum values for the words that a person types."""
    if not isinstance(body, dict) or message.full_name.startswith("google.protobuf."):
        return body
    fields = {**message.fields_by_camelcase_name, **message.fields_by_name}
    return {
        name: _with_enums(value, fields[name]) if name in fields else value for name, value in body.items()
    }


def _with_enums(value: Any, field: Any) -> Any:
    if field.is_repeated and isinstance(value, list):
        return [_one_with_enums(item, field) for item in value]
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        if not isinstance(value, dict):
            return value
        item_field = field.message_type.fields_by_name["value"]
        return {key: _one_with_enums(item, item_field) for key, item in value.items()}
    return _one_with_enums(value, field)


def _one_with_enums(value: Any, field: Any) -> Any:
    if field.message_type is not None:
        return with_enums(value, field.message_type)
    if field.enum_type is not None and isinstance(value, str):
        return choices(field.enum_type).get(value.lower(), value)
    return value
