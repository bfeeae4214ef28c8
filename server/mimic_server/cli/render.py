"""Messages as a person, or a program, reads them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import yaml
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from mimic.v1 import evaluations_pb2, sessions_pb2
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from mimic_server.cli.fields import choices

MAX_VALUE = 300
"""Characters of one value among lines of `field: value`, and of one line of a stream."""

_MAX_NAME = 30
_MAX_SHORT = 40
_MAX_NUMBER = 1_000_000
_MIN_PROSE = 20
_NAMES = ("name", "display_name", "title", "email", "persona", "channel")
_PROSE = ("text", "message", "line", "explanation")
_UNTOLD = ("etag", "seed", "last_seq")
"""For programs."""

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


class Events:
    """Prints the answers of a stream, each in one line."""

    def __init__(self, output: str, console: Console) -> None:
        self._output = output
        self._console = console
        self._said: dict[int, str] = {}
        self._last = ""

    def show(self, event: Message) -> None:
        """Prints one answer."""
        if self._output == "json":
            self._console.out(json.dumps(to_json(event), ensure_ascii=False), highlight=False)
        elif self._output == "yaml":
            text = yaml.safe_dump([to_json(event)], sort_keys=False, allow_unicode=True)
            self._console.out(text, end="", highlight=False)
        elif (line := self._line(event)) and line != self._last:
            self._last = line
            self._console.out(line, highlight=False)

    def _line(self, event: Message) -> str:
        name, thing = "", event
        for field, value in event.ListFields():
            if field.message_type is not None and not field.is_repeated and not _known(field):
                name, thing = field.name.replace("_", " "), value
                break
        if isinstance(thing, sessions_pb2.Session):
            return _session_line(thing)
        if isinstance(thing, sessions_pb2.Message):
            return self._message_line(thing)
        told = "  ".join(f"{column}={text}" for column, text in _brief(thing))
        return _cut(f"{name}  {told}".strip(), MAX_VALUE)

    def _message_line(self, message: sessions_pb2.Message) -> str:
        said = "(taken back)" if message.deleted else " ".join(message.text.split())
        if self._said.get(message.seq) == said:
            receipt = _text(message.DESCRIPTOR.fields_by_name["receipt"], message.receipt)
            return f"#{message.seq} {receipt}" if receipt else ""
        self._said[message.seq] = said
        who = "persona >" if message.sender == evaluations_pb2.SENDER_PERSONA else "agent <"
        return f"#{message.seq} {who} {said}"


def _session_line(session: sessions_pb2.Session) -> str:
    fields = session.DESCRIPTOR.fields_by_name
    end = _text(fields["termination_reason"], session.termination_reason).replace("_", " ")
    if end and session.termination_detail:
        end = f"{end}: {' '.join(session.termination_detail.split())}"
    parts = [
        f"session {session.id}",
        session.persona.name,
        _text(fields["state"], session.state),
        f"{session.turns} {'turn' if session.turns == 1 else 'turns'}",
        f"attempt {len(session.attempts)}" if len(session.attempts) > 1 else "",
        end,
    ]
    return _cut("  ".join(filter(None, parts)), MAX_VALUE)


def _brief(message: Message) -> Iterable[tuple[str, str]]:
    """What is short in a message, by field, the most telling first; then what is long."""
    fields: Sequence[Any] = message.DESCRIPTOR.fields
    columns = _ranked(fields, [message])
    long = [
        field
        for field in fields
        if field not in columns and field.type == field.TYPE_STRING and not field.is_repeated
    ]
    for field in [*columns, *long]:
        if text := _cell(message, field):
            yield field.name, " ".join(text.split())


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
        console.out(_short(text, MAX_VALUE), highlight=False)


def _show_rows(field: Any, rows: Sequence[Message], console: Console) -> None:
    if not rows:
        console.print(f"[dim]no {field.name.replace('_', ' ')}[/dim]")
        return
    columns = _ranked(field.message_type.fields, rows)
    table = [[column.name for column in columns]]
    table += [[_short(_cell(row, column), _cap(column)) for column in columns] for row in rows]
    widths = [max(cell_len(line[at]) for line in table) for at in range(len(columns))]
    prose = columns[-1].name in _PROSE
    if prose:
        widths[-1] = min(widths[-1], max(_MIN_PROSE, console.width - sum(widths[:-1]) - 2 * len(widths[:-1])))
    while len(widths) > 1 and sum(widths) + 2 * (len(widths) - 1) > console.width:
        # Of a table of texts the texts are the last to go.
        del_at = len(widths) - 2 if prose and len(widths) > 2 else len(widths) - 1
        widths.pop(del_at)
        for line in table:
            line.pop(del_at)
    for number, line in enumerate(table):
        cells = (set_cell_size(_fit(cell, width), width) for cell, width in zip(line, widths, strict=False))
        text = Text("  ".join(cells).rstrip(), "bold" if number == 0 else "")
        console.print(text, soft_wrap=True, highlight=False)


def _fit(cell: str, width: int) -> str:
    return cell if cell_len(cell) <= width else f"{set_cell_size(cell, width - 1)}…"


def _cap(column: FieldDescriptor) -> int:
    if column.name in _NAMES:
        return _MAX_NAME
    return MAX_VALUE


def _ranked(fields: Sequence[FieldDescriptor], rows: Sequence[Message]) -> list[FieldDescriptor]:
    """The fields that a row tells in one line, the most telling first; those that no row has are left out."""
    ranked = []
    for field in fields:
        cells = [_cell(row, field) for row in rows] if not field.is_repeated else []
        if any(cells):
            rank = _rank(field, max(map(len, cells)), rows)
            if rank is not None:
                ranked.append((rank, field))
    ranked.sort(key=lambda pair: pair[0])
    columns = [field for _, field in ranked]
    prose = [field for field in columns if field.name in _PROSE]
    if prose:
        # What was said is what such a list is read for: it has what room there is.
        columns = [field for rank, field in ranked if rank[0] <= _NUMBER and field.name not in _PROSE]
        columns.append(prose[0])
    return columns or list(fields[:1])


_ID, _NAME, _ENUM, _NUMBER, _TEXT, _TIME, _OTHER = range(7)


def _rank(field: FieldDescriptor, longest: int, rows: Sequence[Message]) -> tuple[int, int] | None:
    """Where a field's column stands. Returns None if it has none."""
    at = 0
    if field.name in _UNTOLD:
        return None
    if field.name in ("id", "seq"):
        # What is counted is known by its number.
        counted = "seq" in rows[0].DESCRIPTOR.fields_by_name
        kind = _ID if field.name == "seq" or not counted else None
    elif field.name in _NAMES:
        kind, at = _NAME, _NAMES.index(field.name)
    elif field.name in _PROSE:
        kind = _TEXT
    elif field.name == "create_time":
        kind = _TIME
    elif field.message_type is not None:
        kind = None
    elif field.enum_type is not None:
        kind, at = _ENUM, field.name not in ("state", "outcome", "verdict")
    elif field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        kind = None if longest > _MAX_SHORT or field.name.endswith("_id") else _OTHER
    elif field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        kind = _OTHER
    else:
        small = all(abs(getattr(row, field.name)) < _MAX_NUMBER for row in rows)
        kind = _NUMBER if small else None
    return None if kind is None else (kind, int(at))


def _known(field: FieldDescriptor) -> bool:
    """Whether a field is one of protobuf's own messages, such as a time."""
    return field.message_type is not None and field.message_type.full_name.startswith("google.protobuf.")


def _cell(row: Message, field: FieldDescriptor) -> str:
    if field.has_presence and not row.HasField(field.name):
        return ""
    value = getattr(row, field.name)
    if field.message_type is not None and field.name in _NAMES:
        return str(getattr(value, "name", ""))
    return "" if isinstance(value, (int, float)) and not value else _text(field, value)


def _flat(message: Message, prefix: str = "") -> Iterable[tuple[str, str]]:
    for field, value in message.ListFields():
        name = f"{prefix}{field.name}"
        if field.message_type is None or _known(field):
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


def _short(text: str, most: int) -> str:
    return _cut(" ".join(text.split()), most)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
