"""How personas type: like people, and the same for the same seed."""

from __future__ import annotations

import random
import re
import struct
import unicodedata
import zlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mimic_server.domain.adapters import Capabilities
from mimic_server.domain.messages import Choice, ChoiceTaken, Media, Sender, Text
from mimic_server.domain.personas import PersonaSpec, TypingStyle
from mimic_server.simulation.pictures import picture
from mimic_server.simulation.tasks import Dialogue, Entry, PersonaTurn
from mimic_server.simulation.typing_style import MAX_BURST, PlannedMessage, lets_turn_pass, plan
from mimic_server.simulation.typos import with_typos

LONG = "Hello there! I would like to know where my order NW-10234 is, because it is late. Can you help me?"


def talk(locale: str = "en", **style: Any) -> Dialogue:
    persona = PersonaSpec(name="Ann", goals=("x",), locale=locale, typing_style=TypingStyle(**style))
    dialogue = Dialogue(persona, "N", can_send_pictures=True, can_take_choices=True)
    dialogue.append(Entry(Sender.AGENT, "Pick", 0, (Choice("c", "Cake"),), message_id="m1"))
    return dialogue


def typed(
    dialogue: Dialogue,
    *messages: str,
    turn: int = 1,
    pace: float = 0,
    seed: int = 1,
    limit: int = 0,
    **answer: Any,
) -> tuple[PlannedMessage, ...]:
    said = PersonaTurn(messages=messages, **answer)
    able = Capabilities(max_text_chars=limit)
    return plan(said, dialogue, seed=seed, attempt=1, turn=turn, pace=pace, capabilities=able)


def texts(planned: tuple[PlannedMessage, ...]) -> list[str]:
    return [part.text for message in planned for part in message.parts if isinstance(part, Text)]


def test_a_plain_style_changes_nothing() -> None:
    assert typed(talk(), "One.", LONG) == (PlannedMessage((Text("One."),)), PlannedMessage((Text(LONG),)))
    assert typed(talk()) == ()


ALL: dict[str, Any] = {
    "lowercase": True, "typo_rate": 0.3, "burst_rate": 0.5, "double_send_rate": 0.5, "picture_rate": 0.5,
    "silence_rate": 0.2, "emoji": True,
}  # fmt: skip


def test_the_same_seed_types_the_same() -> None:
    def run(seed: int) -> list[tuple[PlannedMessage, ...]]:
        return [typed(talk(**ALL), LONG, turn=turn, seed=seed, pace=1) for turn in range(1, 30)]

    assert run(7) == run(7)
    assert run(7) != run(8)
    assert len(set(run(7))) > 20


def test_lower_case() -> None:
    assert texts(typed(talk(lowercase=True), "Where is NW-10234? ÄÖÜ")) == ["where is nw-10234? äöü"]


KEPT = (
    "NW-10234",
    "10234,",
    "ann@example.com",
    "https://example.com/Order",
    "www.example.com",
    "IBAN",
    "v1.2",
    "my_id",
)


@pytest.mark.parametrize("word", KEPT)
def test_slips_never_touch_what_means_something(word: str) -> None:
    for seed in range(200):
        assert word in with_typos(f"please look at {word} again", 1.0, random.Random(seed)).split()


def test_slips_happen_as_often_as_they_should() -> None:
    words = ["delivery"] * 2000
    slips = sum(word != "delivery" for word in with_typos(" ".join(words), 0.1, random.Random(1)).split())
    assert 120 < slips < 280
    kinds = {with_typos("delivery", 1.0, random.Random(seed)) for seed in range(100)}
    assert len(kinds) > 20
    assert all(kind != "delivery" and kind[0] == "d" for kind in kinds)
    assert {len(kind) for kind in kinds} == {7, 8, 9}


@settings(deadline=None)
@given(st.text(max_size=200), st.integers(0, 1000))
def test_slips_are_safe_for_every_script(text: str, seed: int) -> None:
    slipped = with_typos(text, 1.0, random.Random(seed))
    assert len(slipped.split()) == len(text.split())
    marks = [c for c in slipped if unicodedata.combining(c)]
    assert marks == [c for c in text if unicodedata.combining(c)]
    assert re.findall(r"\d", slipped) == re.findall(r"\d", text)


@settings(deadline=None)
@given(
    st.lists(st.text(min_size=1, max_size=150), min_size=1, max_size=4),
    st.integers(0, 2**63 - 1),
    st.booleans(),
)
def test_nothing_is_lost_in_a_burst(messages: list[str], seed: int, limited: bool) -> None:
    dialogue = talk(burst_rate=1.0)
    planned = typed(dialogue, *messages, seed=seed, limit=20 if limited else 0)
    said = "".join("".join(message.split()) for message in messages)
    heard = "".join("".join(text.split()) for text in texts(planned))
    assert heard.replace(",", "") == said.replace(",", "")
    if limited:
        assert all(len(text) <= 20 for text in texts(planned))
    else:
        assert len(planned) <= MAX_BURST * len(messages)


def test_bursts() -> None:
    dialogue = talk(burst_rate=1.0)
    hello, order, help_me = texts(typed(dialogue, LONG))
    assert (hello, help_me) == ("Hello there!", "Can you help me?")
    assert order == "I would like to know where my order NW-10234 is, because it is late."
    pieces = texts(typed(dialogue, "It cost 3.50 and it is late, as I said"))
    assert pieces == ["It cost 3.50", "and it is late, as I said"]
    assert texts(typed(dialogue, "See https://example.com/a.b?c=d")) == ["See https://example.com/a.b?c=d"]
    assert len(texts(typed(dialogue, "A! B! C! D! E! F! G!"))) == MAX_BURST


def test_says_it_again() -> None:
    first, second = texts(typed(talk(double_send_rate=1.0), "Hi! Where is my order?"))
    assert first == "Hi! Where is my order?"
    assert second.endswith("Where is my order?")
    assert texts(typed(talk("de", double_send_rate=1.0), "Hallo! Wo ist es?"))[1] == "Wo ist es?"


def test_emoji() -> None:
    said = [texts(typed(talk(emoji=True), "Where is it?", turn=turn))[0] for turn in range(1, 60)]
    assert 15 < sum(text != "Where is it?" for text in said) < 45
    assert all(texts(typed(talk(emoji=True), "Fine 🙂", turn=turn)) == ["Fine 🙂"] for turn in range(1, 20))


def test_pictures() -> None:
    planned = typed(talk(picture_rate=1.0), "Look")
    media = planned[1].parts[0]
    assert isinstance(media, Media)
    assert media.data is not None
    assert (media.mime_type, media.size_bytes) == ("image/png", len(media.data))
    assert len(typed(talk(), "Look", send_picture=True)) == 2
    assert len(typed(talk(), send_picture=True)) == 1
    assert typed(talk(picture_rate=1.0)) == ()
    dumb = Dialogue(talk(picture_rate=1.0).persona, "N")
    assert len(typed(dumb, "Look", send_picture=True)) == 1


@settings(deadline=None)
@given(st.integers(0, 2**32))
def test_a_picture_is_a_real_png(seed: int) -> None:
    data = picture(random.Random(seed))
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    assert len(data) < 500
    position, kinds, pixels = 8, [], b""
    while position < len(data):
        (length,) = struct.unpack_from(">I", data, position)
        kind, body = data[position + 4 : position + 8], data[position + 8 : position + 8 + length]
        assert struct.unpack_from(">I", data, position + 8 + length)[0] == zlib.crc32(kind + body)
        kinds.append(kind)
        pixels += body if kind == b"IDAT" else b""
        position += 12 + length
    assert kinds == [b"IHDR", b"IDAT", b"IEND"]
    width, height = struct.unpack_from(">II", data, 16)
    assert len(zlib.decompress(pixels)) == height * (1 + 3 * width)


def test_silence() -> None:
    dialogue = talk(silence_rate=0.5)
    passed = [turn for turn in range(1, 100) if not typed(dialogue, "Hi", turn=turn)]
    assert 30 < len(passed) < 70
    assert 1 not in passed
    assert passed == [
        turn for turn in range(1, 100) if lets_turn_pass(dialogue, seed=1, attempt=1, turn=turn)
    ]
    assert all(typed(dialogue, "Bye", turn=turn, decision="stop") for turn in range(1, 100))
    assert not any(lets_turn_pass(talk(), seed=1, attempt=1, turn=turn) for turn in range(1, 100))


def test_choices() -> None:
    assert typed(talk(), take_choice="c") == (PlannedMessage((ChoiceTaken("c", "m1", "Cake"),)),)
    assert typed(talk(), "Hi", take_choice="unknown") == (PlannedMessage((Text("Hi"),)),)
    dumb = Dialogue(talk().persona, "N")
    dumb.append(Entry(Sender.AGENT, "Pick", 0, (Choice("c", "Cake"),)))
    assert texts(typed(dumb, "please", take_choice="c")) == ["Cake", "please"]


def test_pace() -> None:
    slow, fast = talk(words_per_minute=20), talk(words_per_minute=80)
    delay = typed(slow, "x" * 100, pace=1)[0].delay_seconds
    assert 60 <= delay <= 62
    assert 15 <= typed(fast, "x" * 100, pace=1)[0].delay_seconds <= 17
    assert typed(slow, "x" * 100, pace=0.5)[0].delay_seconds == pytest.approx(delay / 2)
    assert typed(slow, "x" * 8000, pace=10)[0].delay_seconds == 120
    assert all(message.delay_seconds == 0 for message in typed(slow, "a", "b"))


def test_long_texts_are_split_where_they_may_be() -> None:
    assert texts(typed(talk(), "aaa bbb ccc", limit=7)) == ["aaa bbb", "ccc"]
    assert texts(typed(talk(), "a" * 15, limit=7)) == ["a" * 7, "a" * 7, "a"]
