"""Events out of bytes, however those are cut."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mimic_adapter_rest.decoders import Decoder, Event, EventStreamDecoder, LinesDecoder, TooLargeError


def decoded(decoder: Decoder, *chunks: bytes) -> list[Event]:
    return [event for chunk in chunks for event in decoder.feed(chunk)] + list(decoder.end())


_STREAM = (
    b"\xef\xbb\xbf: hello\r\ndata: one\r\n\r\nevent: add\ndata:two\ndata: \xc3\xa9\nid: 7\nretry: 1\n\n"
    b"event: lost\n\ndata\n\ndata:  three\r\rdata: four\n"
)
_EVENTS = [Event("one"), Event("two\n\u00e9", "add"), Event(""), Event(" three"), Event("four")]


@settings(deadline=None)
@given(st.lists(st.integers(0, len(_STREAM)), max_size=20))
def test_events_however_they_are_cut(cuts: list[int]) -> None:
    ends = sorted(cuts)
    pieces = [_STREAM[start:end] for start, end in zip([0, *ends], [*ends, len(_STREAM)], strict=True)]
    assert decoded(EventStreamDecoder(100), *pieces) == _EVENTS


def test_an_event_that_is_not_whole_is_left_out() -> None:
    assert decoded(EventStreamDecoder(100), b"data: one\n\ndata: tw") == [Event("one")]


@settings(deadline=None)
@given(st.lists(st.integers(0, 30), max_size=8))
def test_lines_however_they_are_cut(cuts: list[int]) -> None:
    stream = b'{"a": 1}\r\n\n  \n{"b": "\xc3\xa9"}\n3'
    ends = sorted(cuts)
    pieces = [stream[start:end] for start, end in zip([0, *ends], [*ends, len(stream)], strict=True)]
    assert [event.data for event in decoded(LinesDecoder(100), *pieces)] == [
        '{"a": 1}',
        '{"b": "\u00e9"}',
        "3",
    ]


@pytest.mark.parametrize(
    "kind, data",
    [
        (EventStreamDecoder, b"x" * 11),
        (EventStreamDecoder, b"data: 1234567890\n"),
        (EventStreamDecoder, b"data: 123\ndata: 45678\n"),
        (LinesDecoder, b"x" * 11),
        (LinesDecoder, b"12345678901\n"),
    ],
)
def test_large_events(kind: Callable[[int], Decoder], data: bytes) -> None:
    with pytest.raises(TooLargeError):
        list(kind(10).feed(data))
