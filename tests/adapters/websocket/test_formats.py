"""Packets of Socket.IO, as the protocol's own documents show them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mimic_adapter_websocket.formats import UnreadableError, read_json, read_socket_io


def packet(kind: str, data: Any = None, *, namespace: str = "/", id: int | None = None) -> dict[str, Any]:
    return {"kind": kind, "data": data, "namespace": namespace, "id": id}


@pytest.mark.parametrize(
    "text,data,answer",
    [
        ('0{"sid":"x"}', {"kind": "engine:open", "data": {"sid": "x"}}, ""),
        ("1", {"kind": "engine:close", "data": ""}, ""),
        ("2", {"kind": "engine:ping", "data": ""}, ""),
        ("2probe", {"kind": "engine:ping", "data": "probe"}, ""),
        ("6", {"kind": "engine:noop", "data": ""}, ""),
        ('40{"sid":"x"}', packet("socket:connect", {"sid": "x"}), ""),
        ('40/admin,{"sid":"x"}', packet("socket:connect", {"sid": "x"}, namespace="/admin"), ""),
        ("41", packet("socket:disconnect"), ""),
        ("41/admin,", packet("socket:disconnect", namespace="/admin"), ""),
        ('44{"message":"no"}', packet("socket:connect_error", {"message": "no"}), ""),
        ('44/x,{"message":"no"}', packet("socket:connect_error", {"message": "no"}, namespace="/x"), ""),
        ('44"no"', packet("socket:connect_error", "no"), ""),
        ('42["foo"]', packet("foo") | {"args": []}, ""),
        ('42/admin,["bar",1,2]', packet("bar", 1, namespace="/admin") | {"args": [1, 2]}, ""),
        ('4212["foo",{"a":[1]}]', packet("foo", {"a": [1]}, id=12) | {"args": [{"a": [1]}]}, "4312[]"),
        ('42/admin,13["bar"]', packet("bar", namespace="/admin", id=13) | {"args": []}, "43/admin,13[]"),
        ("4312[]", packet("socket:ack", [], id=12), ""),
        ('43/admin,13["bar"]', packet("socket:ack", ["bar"], namespace="/admin", id=13), ""),
        ('451-["baz",{"num":0}]', packet("baz", {"num": 0}) | {"args": [{"num": 0}]}, ""),
        ('461-15["bar"]', packet("socket:ack", ["bar"], id=15), ""),
    ],
)
def test_packets(text: str, data: dict[str, Any], answer: str) -> None:
    decoded = read_socket_io(text)
    assert (decoded.data, decoded.answer) == (data, answer)


@pytest.mark.parametrize(
    "text", ["", "x", "4", "4abc", "47", "42", "42{}", "42[]", "42[null]", "421-[1]", "0{", "42["]
)
def test_what_is_no_packet(text: str) -> None:
    with pytest.raises(UnreadableError):
        read_socket_io(text)


@given(st.text(alphabet='0123456789/,-[]{}":ab ', max_size=60))
def test_whatever_comes_is_read_or_refused(text: str) -> None:
    for read in (read_json, read_socket_io):
        try:
            read(text)
        except UnreadableError:
            continue
