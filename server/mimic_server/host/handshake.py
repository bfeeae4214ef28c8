"""The first line on an adapter's stdout: where it listens (go-plugin's docs/internals.md)."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path

from mimic.launch import CONTRACT_VERSION


@dataclass(frozen=True, slots=True)
class Handshake:
    """What the line says."""

    target: str
    """The address, as grpc takes it."""


class HandshakeError(Exception):
    """The line is not one that this host can go on with.

    Attributes:
        remedy: What to do about it.
    """

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy


def read_handshake(line: bytes) -> Handshake:
    """Reads the line `1|<contract version>|<network>|<address>|grpc|<certificate>`, a seventh field ignored.

    Raises:
        HandshakeError: It is another line, or speaks of what this host does not.
    """
    shown = repr(line[:200].decode(errors="replace"))
    fields = line.decode(errors="replace").strip().split("|")
    if len(fields) < 4 or fields[0] != "1":
        raise HandshakeError(
            f"its first line on stdout is no handshake: {shown}",
            "let it print nothing on stdout: what it logs goes to stderr",
        )
    if fields[1] != str(CONTRACT_VERSION):
        raise HandshakeError(
            f"it speaks version {fields[1][:20]!r} of the adapter contract, and this host version "
            f"{CONTRACT_VERSION}",
            f"install a release of it that speaks version {CONTRACT_VERSION}",
        )
    if len(fields) < 5 or fields[4] != "grpc":
        protocol = fields[4][:20] if len(fields) > 4 else "net/rpc"
        raise HandshakeError(
            f"it wants to speak {protocol!r}, and this host speaks grpc",
            "let it serve gRPC (plugin.DefaultGRPCServer in Go)",
        )
    if len(fields) > 5 and fields[5]:
        raise HandshakeError("it offers a certificate that nobody asked for", "let it serve without TLS")
    return Handshake(_target(fields[2], fields[3], shown))


def _target(network: str, address: str, shown: str) -> str:
    if network == "unix" and Path(address).is_absolute():
        return f"unix:{address}"
    if network == "tcp" and is_loopback(address):
        return address
    raise HandshakeError(
        f"it listens neither on a unix socket nor on loopback: {shown}",
        "let it make its socket in PLUGIN_UNIX_SOCKET_DIR",
    )


def is_loopback(address: str) -> bool:
    """Whether a host:port is one of this machine's own."""
    host, _, port = address.rpartition(":")
    if not port.isdecimal():
        return False
    host = host.removeprefix("[").removesuffix("]")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
