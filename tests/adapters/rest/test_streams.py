"""Messages of a stream, event by event."""

import json
from typing import Any

from mimic_adapter_rest.decoders import Event
from mimic_adapter_rest.profile import compile_profile
from mimic_adapter_rest.settings import RestSettings
from mimic_adapter_rest.streams import Assembler, Heard
from mimic_plugin_sdk import WireTime

_EVENTS = {
    "delta": {"delta": "$.text", "key": "$.key"},
    "end": {"closes": True, "key": "$.key"},
    "message": {"whole": "$.messages[*]"},
    "over": {"done": "$.over", "ended": "$.ended"},
}
_NOTHING: list[Any] = []


class Stream:
    """A stream whose events come a nanosecond after each other."""

    def __init__(self, note: list[Any] | None = None, **streaming: Any) -> None:
        settings = {"kind": "$.type", "events": _EVENTS, **streaming}
        profile = compile_profile(
            RestSettings.model_validate(
                {"url": "http://h/", "streaming": settings, "reply": {"text": "$.text", "id": "$.key"}}
            )
        )
        self.assembler = Assembler(profile.stream, profile.reader, note.append if note is not None else None)
        self._now = 0

    def take(self, kind: str, **fields: Any) -> list[tuple[str, int, int]]:
        """Take an event, and return the texts that are whole with it, and when they began and ended."""
        self._now += 1
        event = Event(json.dumps({"type": kind, **fields}))
        return told(self.assembler.take(event, WireTime(self._now, self._now)))


def told(messages: list[Heard]) -> list[tuple[str, int, int]]:
    return [
        (one.said.text, one.first_byte.monotonic_nanos, one.last_byte.monotonic_nanos) for one in messages
    ]


def test_messages_that_grow_side_by_side() -> None:
    stream = Stream()
    for key, text in (("a", "1"), ("b", "2"), ("a", "3"), ("b", "")):
        assert stream.take("delta", key=key, text=text) == _NOTHING
    assert stream.take("end", key="b") == [("2", 2, 2)]
    # What names no message goes on with the newest, and what is of another type is no text.
    assert stream.take("delta", key="a", text="4") == _NOTHING
    assert stream.take("delta", text="5") == _NOTHING
    assert stream.take("delta", text={"no": "text"}) == _NOTHING
    assert stream.take("over", over=False) == _NOTHING
    assert not stream.assembler.done
    assert stream.take("over", over=1, ended=True) == [("1345", 1, 7)]
    assert stream.assembler.done
    assert stream.assembler.ended


def test_a_whole_message_takes_the_place_of_its_deltas() -> None:
    stream = Stream()
    stream.take("delta", key="a", text="he")
    stream.take("delta", key="b", text="y")
    assert stream.take("message", messages=[{"key": "a", "text": "hello"}]) == [("hello", 1, 3)]
    # Told again, it is not told twice.
    assert stream.take("message", messages=[{"key": "a", "text": "hello"}]) == _NOTHING
    assert stream.take("message", messages=[{"text": "more"}]) == [("more", 2, 5)]


def test_a_character_that_comes_in_halves() -> None:
    stream = Stream()
    stream.take("delta", text="\ud83d")
    stream.take("delta", text="\ude00")
    assert stream.take("over", over=True) == [("\U0001f600", 1, 2)]


def test_what_no_rule_names_is_left_out_unread() -> None:
    notes: list[Any] = []
    stream = Stream(notes, kind="", done_data="over")
    assert stream.assembler.take(Event("no JSON", "ping"), WireTime(1, 1)) == _NOTHING
    stream.assembler.take(Event('{"text": "a"}', "delta"), WireTime(2, 2))
    assert told(stream.assembler.take(Event("over"), WireTime(3, 3))) == [("a", 2, 2)]
    assert notes == [{"text": "a"}]


def test_a_stream_that_tells_no_end_is_whole_when_it_ends() -> None:
    stream = Stream(events={"delta": _EVENTS["delta"]})
    stream.take("delta", text="a")
    assert told(stream.assembler.end()) == [("a", 1, 1)]
