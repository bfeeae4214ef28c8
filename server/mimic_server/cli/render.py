"""Messages as a person, or a program, reads them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import yaml
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from rich.console import Console
from rich.table import Table

from mimic_server.cli.fields import choices

MAX_CELL = 60

_CLOCKS = ("wall_unix_nanos", "monotonic_nanos", "clock_id")


def to_json(message: Message) -> dict[str, Any]:
    """A message as JSON, by the names of the .proto."""
    return MessageToDict(message, preserving_proto_field_name=True)


def show(message: Message, output: str, console: Console) -> None:
    """Prints a whole answer."""
    if output == "json":
        console.out(json.dumps(to_json(message), indent=2, ensure_ascii=False), highlight=False)
    elif output == "yaml":
        text = yaml.safe_dump(to_json(message), sort_keys=False, allow_unicode=True)
        console.out(text, end="", highlight=False)
    else:
        _show_table(message, console)


def show_event(message: Message, output: str, console: Console) -> None:
    """Prints one answer of a stream: one line, whatever it holds."""
    if output == "json":
        console.out(json.dumps(to_json(message), ensure_ascii=False), highlight=False)
    elif output == "yaml":
        text = yaml.safe_dump([to_json(message)], sort_keys=False, allow_unicode=True)
        console.out(text, end="", highlight=False)
    else:
        console.out(_line(message), highlight=False)


def _show_table(message: Message, console: Console) -> None:
    """A list as a table; anything else as lines of `field: value`."""
    lists = [
        field for field in message.DESCRIPTOR.fields if field.is_repeated and field.message_type is not None
    ]
    if len(lists) == 1:
        _show_rows(lists[0], getattr(message, lists[0].name), console)
        if token := getattr(message, "next_page_token", ""):
            console.print(f"[dim]more: --page-token {token}[/dim]")
        return
    set_fields = message.ListFields()
    if (
        len(set_fields) == 1
        and set_fields[0][0].message_type is not None
        and not set_fields[0][0].is_repeated
    ):
        message = set_fields[0][1]
    for name, text in _flat(message):
        console.print(f"[bold]{name}[/bold]: ", end="", highlight=False)
        console.out(text, highlight=False)


def _show_rows(field: Any, rows: Sequence[Message], console: Console) -> None:
    if not rows:
        console.print(f"[dim]no {field.name.replace('_', ' ')}[/dim]")
        return
    columns = [
        column
        for column in field.message_type.fields
        if not column.is_repeated and any(_cell(row, column) for row in rows)
    ]
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column.name, no_wrap=column.name == "id", overflow="fold")
    for row in rows:
        table.add_row(*(_short(_cell(row, column)) for column in columns))
    console.print(table, highlight=False, markup=False)


def _cell(row: Message, field: FieldDescriptor) -> str:
    if field.has_presence and not row.HasField(field.name):
        return ""
    return _text(field, getattr(row, field.name))


def _flat(message: Message, prefix: str = "") -> Iterable[tuple[str, str]]:
    for field, value in message.ListFields():
        name = f"{prefix}{field.name}"
        if field.message_type is None or field.message_type.full_name.startswith("google.protobuf."):
            values = value if field.is_repeated else [value]
            yield name, ", ".join(_text(field, item) for item in values)
        elif field.message_type.GetOptions().map_entry:
            for key in sorted(value):
                yield f"{name}.{key}", str(value[key])
        elif field.is_repeated:
            for index, item in enumerate(value):
                yield f"{name}[{index}]", _line(item)
        else:
            yield from _flat(value, f"{name}.")


def _text(field: FieldDescriptor, value: Any) -> str:
    if field.enum_type is not None:
        words = {full: word for word, full in choices(field.enum_type).items()}
        number = field.enum_type.values_by_number.get(value)
        return "" if value == 0 else words.get(number.name, "") if number else str(value)
    if field.message_type is not None:
        if field.message_type.full_name == "google.protobuf.Timestamp":
            return value.ToDatetime().isoformat(sep=" ", timespec="seconds") if value.seconds else ""
        if field.message_type.full_name.startswith("google.protobuf."):
            return json.dumps(MessageToDict(value), ensure_ascii=False)
        return _line(value)
    if isinstance(value, bool):
        return "yes" if value else ""
    if isinstance(value, float):
        return f"{value:g}"
    return str(value)


def _line(message: Message) -> str:
    words = dict(_flat(message))
    said = {name.removesuffix("text") for name in words if name.endswith("text")}
    return "  ".join(
        f"{name}={text}"
        for name, text in words.items()
        # A text says what its parts say, and clocks are for programs.
        if text and not any(name.startswith(f"{at}parts") for at in said) and not name.endswith(_CLOCKS)
    )


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= MAX_CELL else f"{text[: MAX_CELL - 1]}…"
