"""How a host launches an adapter: what its environment says, and the line that answers.

The protocol is go-plugin's (hashicorp/go-plugin, commit dd3617a: server.go, client.go).
"""

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

CORE_VERSION = 1
"""go-plugin's own protocol version."""
CONTRACT_VERSIONS = (1,)
"""Versions of mimic.adapter that this SDK speaks, ascending."""

# sun_path of sockaddr_un, less its final NUL (unix(7)).
_SOCKET_PATH_BYTES = 107
_PLAIN = str.maketrans("", "", "/-_.")
_LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


class LaunchError(Exception):
    """The process cannot be launched so; the text is one line for the host's operator."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """What a host asks of the process that it starts."""

    version: int
    """Version of the contract that is spoken."""
    socket_dir: str
    """Where to make the socket."""
    socket_group: str
    """Group that may connect, by name or id. Empty: the owner alone."""
    ports: range
    """TCP ports to choose from where there are no unix sockets."""
    multiplex_asked: bool
    """True: the host asked for yamux, which it is told not to get."""


def launch_from(environ: Mapping[str, str]) -> Launch:
    """Read a host's environment.

    Args:
        environ: The process's environment.

    Raises:
        LaunchError: The host asks for what cannot be.
    """
    if environ.get("PLUGIN_CLIENT_CERT"):
        raise LaunchError(
            "the host asks for AutoMTLS (PLUGIN_CLIENT_CERT), which gRPC for Python cannot complete; "
            "turn it off in the host: the socket is private to its owner"
        )
    try:
        lowest, highest = int(environ.get("PLUGIN_MIN_PORT", 0)), int(environ.get("PLUGIN_MAX_PORT", 0))
    except ValueError:
        raise LaunchError("PLUGIN_MIN_PORT and PLUGIN_MAX_PORT have to be numbers") from None
    return Launch(
        version=_chosen_version(environ.get("PLUGIN_PROTOCOL_VERSIONS", "")),
        socket_dir=environ.get("PLUGIN_UNIX_SOCKET_DIR") or environ.get("TMPDIR") or "/tmp",  # noqa: S108
        socket_group=environ.get("PLUGIN_UNIX_SOCKET_GROUP", ""),
        ports=range(lowest, highest + 1),
        multiplex_asked=bool(environ.get("PLUGIN_MULTIPLEX_GRPC")),
    )


def _chosen_version(offered: str) -> int:
    """Choose the largest common version; with none in common the lowest of ours, and the host says so."""
    versions = set()
    for one in offered.split(","):
        with suppress(ValueError):
            versions.add(int(one))
    return max(versions.intersection(CONTRACT_VERSIONS), default=CONTRACT_VERSIONS[0])


def socket_path(launch: Launch) -> str:
    """Choose the socket's path.

    Args:
        launch: What the host asked.

    Raises:
        LaunchError: The path would be too long for a unix socket.
    """
    path = os.path.join(launch.socket_dir, f"plugin{os.urandom(6).hex()}")  # noqa: PTH118 - pathlib costs start time
    size = len(os.fsencode(path))
    if size > _SOCKET_PATH_BYTES:
        raise LaunchError(
            f"the socket's path would have {size} bytes, and unix sockets allow {_SOCKET_PATH_BYTES}: "
            f"{path}; set PLUGIN_UNIX_SOCKET_DIR to a shorter directory"
        )
    return path


def socket_address(path: str) -> str:
    """Make the address of a socket; gRPC reads it as a URI, in which some characters mean something else."""
    if path.translate(_PLAIN).isalnum():
        return f"unix:{path}"
    from urllib.parse import quote  # noqa: PLC0415 - seldom needed

    return f"unix:{quote(path)}"


def open_to_group(path: str, group: str) -> None:
    """Let a group connect to a socket.

    Args:
        path: The socket.
        group: The group's name or id.

    Raises:
        LaunchError: There is no such group, or it cannot be given.
    """
    import grp  # noqa: PLC0415 - seldom asked for

    try:
        gid = int(group) if group.isdecimal() else grp.getgrnam(group).gr_gid
        os.chown(path, -1, gid)
        os.chmod(path, 0o660)  # noqa: PTH101 - as above
    except (KeyError, OSError) as error:
        raise LaunchError(f"the socket cannot be given to group {group!r}: {error}") from None


def handshake(launch: Launch, network: str, address: str) -> str:
    """Make the line that tells the host where to connect.

    Args:
        launch: What the host asked.
        network: "unix" or "tcp".
        address: The socket's path, or ip:port.
    """
    # The sixth field is a certificate; a Go host crashes on one that it did not ask for.
    line = f"{CORE_VERSION}|{launch.version}|{network}|{address}|grpc|"
    return f"{line}|false" if launch.multiplex_asked else line


def log_level(environ: Mapping[str, str]) -> str:
    """Read the least level that is logged.

    Args:
        environ: The process's environment.

    Raises:
        LaunchError: MIMIC_LOG_LEVEL is no level.
    """
    level = environ.get("MIMIC_LOG_LEVEL", "").upper() or "INFO"
    if level not in _LOG_LEVELS:
        raise LaunchError(f"MIMIC_LOG_LEVEL={level} is no level; use one of {', '.join(_LOG_LEVELS)}")
    return level
