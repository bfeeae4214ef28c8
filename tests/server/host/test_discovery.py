from __future__ import annotations

import logging
import sys
from pathlib import Path

import pytest
from mimic_server.host import Attached, Tls
from mimic_server.host.discovery import Discovery
from mimic_server.host.handshake import HandshakeError, is_loopback, read_handshake


def adapter(directory: Path, channel: str) -> Path:
    directory.mkdir(exist_ok=True)
    file = directory / f"mimic-adapter-{channel}"
    file.write_text("#!/bin/sh\n")
    file.chmod(0o755)
    return file


def test_the_first_of_the_places_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    configured, beside, on_path = tmp_path / "configured", tmp_path / "beside", tmp_path / "path"
    expected = {
        "one": adapter(configured, "one"),
        "two": adapter(beside, "two"),
        "three": adapter(on_path, "three"),
    }
    for directory in (beside, on_path):
        adapter(directory, "one")
    adapter(on_path, "two")
    adapter(on_path, "four")
    monkeypatch.setattr(sys, "executable", str(beside / "python"))
    discovery = Discovery([configured], f".:{on_path}:relative", {"four": Attached("127.0.0.1:1")})
    with caplog.at_level(logging.WARNING, "mimic.host"):
        found = discovery.all()
    assert {name: one.executable for name, one in found.items()} == expected | {"four": None}
    assert found["four"].launched_by == "127.0.0.1:1"
    assert found["one"].launched_by == str(expected["one"])
    assert {name: discovery.one(name) for name in found} == found
    said = [record.getMessage() for record in caplog.records]
    assert said == [
        f"the one adapter is {expected['one']}; {beside / 'mimic-adapter-one'} is left aside",
        f"the four adapter is 127.0.0.1:1; {on_path / 'mimic-adapter-four'} is left aside",
        f"the one adapter is {expected['one']}; {on_path / 'mimic-adapter-one'} is left aside",
        f"the two adapter is {expected['two']}; {on_path / 'mimic-adapter-two'} is left aside",
    ]


def test_what_is_no_adapter(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for channel in ("conformance", "Upper", "trailing-", "", "ok"):
        adapter(tmp_path, channel)
    (tmp_path / "mimic-adapter-plain").write_text("not executable")
    (tmp_path / "mimic-adapter-directory").mkdir()
    link = tmp_path / "links"
    link.mkdir()
    (link / "mimic-adapter-ok").symlink_to(tmp_path / "mimic-adapter-ok")
    discovery = Discovery([tmp_path, link, tmp_path / "absent"], "", {})
    ours = {name for name, one in discovery.all().items() if one.executable.parent == tmp_path}  # type: ignore[union-attr]
    assert ours == {"ok"}
    assert not caplog.records
    assert discovery.one("plain") is None
    assert discovery.one("x/../ok") is None


@pytest.mark.parametrize(
    "one,complaint",
    [
        (Attached("example.com:50051"), "another machine"),
        (Attached("0.0.0.0:50051"), "another machine"),
        (Attached("nowhere"), "not host:port"),
        (Attached(":1"), "not host:port"),
    ],
)
def test_attached_addresses_that_are_refused(one: Attached, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Discovery([], "", {"far": one})


def test_attached_addresses_that_are_taken() -> None:
    attached = {
        "near": Attached("[::1]:50051"),
        "local": Attached("localhost:50051"),
        "safe": Attached("example.com:50051", Tls()),
        "bold": Attached("example.com:50051", allow_plaintext=True),
    }
    assert set(attached) <= set(Discovery([], "", attached).all())
    with pytest.raises(ValueError, match="no channel's name"):
        Discovery([], "", {"No Name": Attached("localhost:1")})


def test_a_key_is_not_shown() -> None:
    assert "PRIVATE" not in repr(Attached("a:1", Tls(private_key=b"PRIVATE")))


@pytest.mark.parametrize(
    "line,target",
    [
        (b"1|1|unix|/tmp/a.sock|grpc|\n", "unix:/tmp/a.sock"),
        (b"1|1|unix|/tmp/a.sock|grpc|\r\n", "unix:/tmp/a.sock"),
        (b"1|1|unix|/tmp/a.sock|grpc||false", "unix:/tmp/a.sock"),
        (b"1|1|unix|/tmp/a.sock|grpc", "unix:/tmp/a.sock"),
        (b"1|1|tcp|127.0.0.1:4567|grpc|", "127.0.0.1:4567"),
        (b"1|1|tcp|[::1]:4567|grpc|", "[::1]:4567"),
    ],
)
def test_a_handshake(line: bytes, target: str) -> None:
    assert read_handshake(line).target == target


@pytest.mark.parametrize(
    "line,complaint",
    [
        (b"", "no handshake"),
        (b"hello", "no handshake"),
        (b"\xff\xfe|||", "no handshake"),
        (b"2|1|unix|/a|grpc|", "no handshake"),
        (b"1|2|unix|/a|grpc|", "version '2' of the adapter contract"),
        (b"1|1|unix|/a", "'net/rpc'"),
        (b"1|1|unix|/a|netrpc|", "'netrpc'"),
        (b"1|1|unix|/a|grpc|MIIB", "certificate"),
        (b"1|1|unix|relative|grpc|", "neither"),
        (b"1|1|tcp|10.0.0.1:1|grpc|", "neither"),
        (b"1|1|pipe|/a|grpc|", "neither"),
    ],
)
def test_what_is_no_handshake(line: bytes, complaint: str) -> None:
    with pytest.raises(HandshakeError, match=complaint) as caught:
        read_handshake(line)
    assert caught.value.remedy


@pytest.mark.parametrize("address", ["127.0.0.1", "example.com:1", "127.0.0.1:http", "10.0.0.1:1", ":1"])
def test_what_is_not_loopback(address: str) -> None:
    assert not is_loopback(address)
