from __future__ import annotations

import asyncio
import dataclasses
import json
import random
import time
import tracemalloc
from datetime import UTC, datetime

import pytest
from mimic_server.domain.adapters import AdapterLogLine
from mimic_server.host import Limits
from mimic_server.host.log_book import LineFeed, LogBook
from mimic_server.host.log_lines import LineSplitter, read_line
from mimic_server.host.secrets import Redactor


def book(**limits: int) -> LogBook:
    return LogBook("good", dataclasses.replace(Limits(), **limits), Redactor())


async def lines_of(log: LogBook, level: str = "trace") -> list[AdapterLogLine]:
    return [line async for line in log.read(follow=False, level=level)]


def test_a_line_of_json() -> None:
    line = read_line(
        "good",
        b'{"@level":"warn","@message":"careful","@timestamp":"2026-03-01T10:00:00.000001+01:00",'
        b'"session_id":"s-1","@module":"m","count":3,"deep":{"a":[1]}}',
    )
    assert (line.level, line.message, line.session_id) == ("warn", "careful", "s-1")
    assert line.time == datetime(2026, 3, 1, 9, 0, 0, 1, UTC)
    assert line.fields == (("@module", "m"), ("count", "3"), ("deep", '{"a": [1]}'))


@pytest.mark.parametrize(
    "line,level,message",
    [
        (b"[INFO] hello", "info", "hello"),
        (b"  [WARN]  hello", "warn", "hello"),
        (b"ERROR:root:hello", "error", "root:hello"),
        (b"CRITICAL hello", "error", "hello"),
        (b"Information is all", "debug", "Information is all"),
        (b"plain\r", "debug", "plain"),
        (b"\xff\xfe", "debug", "\N{REPLACEMENT CHARACTER}" * 2),
        (b"{not json", "debug", "{not json"),
        (b"[" * 20_000, "debug", "[" * 8192),
        (b'{"a":' * 10_000, "debug", ('{"a":' * 10_000)[:8192]),
        (b'{"@level":7,"@message":["x"]}', "debug", '["x"]'),
        (b'{"@level":"fatal","@message":"x","@timestamp":"yesterday"}', "error", "x"),
        (b'{"@level":"TRACE","@message":"x","@timestamp":"0001-01-01T00:00:00+14:00"}', "trace", "x"),
        (b'{"@message":"\\ud800"}', "info", "?"),
        (b'{"@message":' + b"9" * 5000 + b"}", "debug", '{"@message":' + "9" * 5000 + "}"),
        (b"{}", "info", ""),
    ],
)
def test_whatever_a_line_is_it_can_be_read(line: bytes, level: str, message: str) -> None:
    read = read_line("good", line)
    assert (read.level, read.message) == (level, message)
    assert read.time.tzinfo is UTC
    read.message.encode()


def test_reading_never_fails() -> None:
    rng = random.Random(1)
    base = b'{"@level":"warn","@message":"m","@timestamp":"2026-03-01T10:00:00.000001Z","x":[1,{"y":null}]}'
    for _ in range(5000):
        damaged = bytearray(base)
        for _ in range(rng.randint(1, 5)):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        json.dumps(dataclasses.asdict(read_line("good", bytes(damaged))), default=str).encode()


def test_lines_are_cut_out_of_any_pieces() -> None:
    rng = random.Random(2)
    lines = [bytes(rng.choices(b"abc", k=rng.randint(0, 50))) for _ in range(200)]
    data = b"\n".join(lines)
    splitter, found = LineSplitter(), []
    while data:
        count = rng.randint(1, 120)
        found += splitter.feed(data[:count])
        data = data[count:]
    assert [line for line in found + splitter.finish() if line] == [line for line in lines if line]


def test_a_line_without_end_takes_bounded_memory() -> None:
    splitter = LineSplitter()
    tracemalloc.start()
    for _ in range(1000):
        assert splitter.feed(b"x" * 65536) == []
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000
    cut, whole = splitter.feed(b"the end\nnext\n")
    assert cut == b"x" * 32768 + b" [cut]"
    assert whole == b"next"


async def test_the_newest_lines_are_kept() -> None:
    log = book(log_ring_lines=10)
    log.take([b"line %d" % n for n in range(25)])
    assert [line.message for line in await lines_of(log)] == [f"line {n}" for n in range(15, 25)]
    assert log.last(2, 0) == ["line 23", "line 24"]
    log.note("info", "READY")
    assert log.last(2, 24) == ["line 24"]
    assert log.last(2, 25) == log.last(2, 26) == []
    assert [line.message for line in await lines_of(log, "info")] == ["READY"]


async def test_a_flood_is_dropped_and_counted() -> None:
    log = book(log_lines_per_second=10)
    LineFeed(log).feed(b"a\n" * 100_000)
    log.close()
    lines = await lines_of(log)
    assert len(lines) == 41
    assert lines[-1].message.startswith("99960 lines dropped")


async def test_dropping_is_quick() -> None:
    log = book()
    feed = LineFeed(log)
    feed.feed(b"a\n" * 3000)
    chunk = b"flood of words\n" * 4000
    began = time.process_time()
    for _ in range(100):
        feed.feed(chunk)
    assert time.process_time() - began < 1
    log.close()


async def test_a_follower_hears_every_line_and_then_the_end() -> None:
    log = book()
    log.take([b"before"])
    following = log.read(follow=True, level="debug")
    heard = [(await anext(following)).message]
    log.take([b"after", b"[TRACE] not wanted"])
    heard.append((await anext(following)).message)
    waiting = asyncio.ensure_future(anext(following, None))
    await asyncio.sleep(0)
    log.close()
    assert heard == ["before", "after"]
    assert await waiting is None
    assert log.read(follow=True, level="nonsense")


async def test_a_slow_follower_loses_the_oldest_and_is_told() -> None:
    log = book(log_ring_lines=5)
    following = log.read(follow=True, level="trace")
    log.take([b"%d" % n for n in range(12)])
    heard = [(await anext(following)).message for _ in range(6)]
    assert heard == ["7 lines lost here: this reader is slower than the log", "7", "8", "9", "10", "11"]
