"""The public API as its descriptors tell it, comments included."""

from __future__ import annotations

import importlib
import importlib.resources
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from google.api import field_behavior_pb2
from google.protobuf.descriptor import (
    Descriptor,
    EnumValueDescriptor,
    FieldDescriptor,
    MethodDescriptor,
    ServiceDescriptor,
)
from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorProto, FileDescriptorSet

PACKAGE = "mimic.v1"


@cache
def services() -> tuple[ServiceDescriptor, ...]:
    """Every service of the API, by name."""
    found: list[ServiceDescriptor] = []
    for file in _commented().file:
        if file.package == PACKAGE and file.service:
            module = importlib.import_module(file.name.removesuffix(".proto").replace("/", ".") + "_pb2")
            found.extend(module.DESCRIPTOR.services_by_name.values())
    return tuple(sorted(found, key=lambda service: service.name))


def comment(
    thing: ServiceDescriptor | MethodDescriptor | Descriptor | FieldDescriptor | EnumValueDescriptor,
) -> str:
    """What its .proto says of a thing. Empty where it says nothing."""
    if isinstance(thing, EnumValueDescriptor):
        return _comments().get(f"{thing.type.full_name}.{thing.name}", "")
    return _comments().get(thing.full_name, "")


def summary(text: str) -> str:
    """The first sentence of a comment."""
    first = " ".join(text.split("\n\n", maxsplit=1)[0].split())
    return re.split(r"(?<=[.:])\s", first, maxsplit=1)[0].removesuffix(":")


def behaves(field: FieldDescriptor, behaviour: int) -> bool:
    """Whether a field is marked with a `google.api.field_behavior`."""
    marks: Any = field.GetOptions().Extensions
    return behaviour in marks[field_behavior_pb2.field_behavior]


def required(field: FieldDescriptor) -> bool:
    """Whether a caller has to set the field."""
    return behaves(field, field_behavior_pb2.REQUIRED)


def output_only(field: FieldDescriptor) -> bool:
    """Whether only the server sets the field."""
    return behaves(field, field_behavior_pb2.OUTPUT_ONLY)


@cache
def _commented() -> FileDescriptorSet:
    data = importlib.resources.files("mimic.v1").joinpath("commented.binpb").read_bytes()
    return FileDescriptorSet.FromString(data)


@cache
def _comments() -> dict[str, str]:
    """Comments by full name."""
    comments = {}
    for file in _commented().file:
        for place in file.source_code_info.location:
            if name := _name(file, tuple(place.path)):
                comments[name] = re.sub(r"(?m)^ ", "", place.leading_comments).strip()
    return comments


def _name(file: FileDescriptorProto, path: tuple[int, ...]) -> str:
    """The full name of what stands at a path of a descriptor (see SourceCodeInfo). Empty: of no interest."""
    names: list[str] = [file.package]
    at: Any = file
    for kind, index in _pairs(path):
        if isinstance(at, FileDescriptorProto):
            lists: dict[int, Any] = {4: at.message_type, 5: at.enum_type, 6: at.service}
        elif isinstance(at, DescriptorProto):
            lists = {2: at.field, 3: at.nested_type, 4: at.enum_type}
        else:
            lists = {2: getattr(at, "method", None) or getattr(at, "value", [])}
        if kind not in lists:
            return ""
        at = lists[kind][index]
        names.append(at.name)
    return ".".join(names)


def _pairs(path: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    return zip(path[::2], path[1::2], strict=False)
