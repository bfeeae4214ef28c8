"""How an adapter starts: go-plugin's handshake, as Mimic's hosts speak it."""

import ipaddress
import os

from mimic.launch import COOKIE_VARIABLE

from mimic_plugin_sdk.testing._bench import Bench
from mimic_plugin_sdk.testing._launcher import MAX_PORT, MIN_PORT, Handshake
from mimic_plugin_sdk.testing._rule import BrokenError, NotGivenError, rule

_LONGEST_SOCKET_PATH = 107


async def _handshake(bench: Bench) -> Handshake:
    handshake = (await bench.shared()).handshake
    if handshake is None:
        raise NotGivenError("needs the adapter's command")
    return handshake


@rule("L1-handshake-line", "The first line on stdout is 1|<version>|unix or tcp|<address>|grpc|")
async def handshake_line(bench: Bench) -> None:
    handshake = await _handshake(bench)
    expected = "1|1|unix or tcp|<address>|grpc|<certificate, here nothing>"
    fields = handshake.fields
    if (
        len(fields) != 6
        or [fields[0], fields[1], fields[4]] != ["1", "1", "grpc"]
        or fields[2] not in {"unix", "tcp"}
        or not fields[3]
    ):
        raise BrokenError(expected, repr(handshake.line))


@rule("L2-no-unasked-certificate", "A certificate is sent only to a host that sent its own")
async def no_unasked_certificate(bench: Bench) -> None:
    handshake = await _handshake(bench)
    if len(handshake.fields) > 5 and handshake.fields[5]:
        raise BrokenError("an empty sixth field, for a host without PLUGIN_CLIENT_CERT", repr(handshake.line))


@rule(
    "L3-address", "The socket is in PLUGIN_UNIX_SOCKET_DIR; TCP is on loopback, in the host's range of ports"
)
async def address(bench: Bench) -> None:
    peer = await bench.shared()
    handshake = await _handshake(bench)
    socket = handshake.socket
    if socket is None:
        host, _, port = handshake.fields[3].rpartition(":")
        try:
            good = ipaddress.ip_address(host.strip("[]")).is_loopback and MIN_PORT <= int(port) <= MAX_PORT
        except ValueError:
            good = False
        if not good:
            raise BrokenError(
                f"a loopback address with a port of {MIN_PORT} to {MAX_PORT}", handshake.fields[3]
            )
        return
    if peer.process is None or not socket.resolve().is_relative_to(peer.process.folder.resolve()):
        raise BrokenError(f"a socket in {peer.process.folder if peer.process else ''}", str(socket))
    if len(os.fsencode(socket)) > _LONGEST_SOCKET_PATH:
        raise BrokenError(f"a path of at most {_LONGEST_SOCKET_PATH} bytes", str(socket))


@rule("L4-default-address", "Without PLUGIN_UNIX_SOCKET_DIR the socket is in the temporary directory")
async def default_address(bench: Bench) -> None:
    process, handshake = await bench.probe("bare", _BARE)
    socket = handshake.socket
    if socket is not None and not socket.resolve().is_relative_to(process.folder.resolve()):
        raise BrokenError(f"a socket below TMPDIR, {process.folder}", str(socket))


@rule("L5-version-common", "The largest common version of an unordered list is answered")
async def version_common(bench: Bench) -> None:
    _, handshake = await bench.probe("asking", _ASKING)
    if handshake.version != "1":
        raise BrokenError("version 1 of the host's 99,1,50", repr(handshake.line))


@rule("L6-version-absent", "Without a list of versions, the lowest of the adapter's own is answered")
async def version_absent(bench: Bench) -> None:
    _, handshake = await bench.probe("bare", _BARE)
    if handshake.version != "1":
        raise BrokenError("version 1, the lowest there is", repr(handshake.line))


@rule("L7-version-none-common", "With no version in common, the lowest of the adapter's own is answered")
async def version_none_common(bench: Bench) -> None:
    _, handshake = await bench.probe("none", {"PLUGIN_PROTOCOL_VERSIONS": "98,99"})
    if handshake.version != "1":
        raise BrokenError("version 1, the adapter's own, for the host's 98,99", repr(handshake.line))


@rule("L8-multiplex-declined", "PLUGIN_MULTIPLEX_GRPC is answered by true or false in the seventh field")
async def multiplex_declined(bench: Bench) -> None:
    _, handshake = await bench.probe("asking", _ASKING)
    # Mimic's hosts never ask, so an adapter that does multiplex is as good.
    if len(handshake.fields) != 7 or handshake.fields[6] not in {"true", "false"}:
        raise BrokenError("seven fields, the last true or false", repr(handshake.line))


@rule("L9-cookie", "Without the host's cookie, the adapter tells people how it is started, and exits with 1")
async def cookie(bench: Bench) -> None:
    for case, value in (("without", None), ("with a wrong", "not-the-cookie")):
        process = await bench.start({COOKIE_VARIABLE: value})
        try:
            if not await process.ended(bench.subject.answer_within) or process.exit_code != 1:
                raise BrokenError(f"exit code 1 {case} {COOKIE_VARIABLE}", process.account())
            if not process.stderr.strip():
                raise BrokenError(f"help on stderr {case} {COOKIE_VARIABLE}", "nothing")
            if process.stdout:
                raise BrokenError(f"nothing on stdout {case} {COOKIE_VARIABLE}", repr(process.stdout[:200]))
        finally:
            await process.kill()


_BARE = {
    "PLUGIN_PROTOCOL_VERSIONS": None,
    "PLUGIN_UNIX_SOCKET_DIR": None,
    "PLUGIN_MIN_PORT": None,
    "PLUGIN_MAX_PORT": None,
    "TMPDIR": "{folder}",
}
_ASKING = {"PLUGIN_PROTOCOL_VERSIONS": "99,1,50", "PLUGIN_MULTIPLEX_GRPC": "true"}
