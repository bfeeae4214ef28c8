"""The command line of an adapter that a person started."""

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from grpc import ServerCredentials, ssl_server_credentials

from mimic_plugin_sdk import _stdout
from mimic_plugin_sdk._adapter import Adapter
from mimic_plugin_sdk._launch import LaunchError, log_level
from mimic_plugin_sdk._log import route_logging

_logger = logging.getLogger("mimic_plugin_sdk")

_LOOPBACK = ("127.0.0.1", "::1", "localhost")


def main(adapter: type[Adapter[Any]], arguments: Sequence[str]) -> int:
    """Do what a command line asks.

    Args:
        adapter: The author's class.
        arguments: The command line without the program's name.

    Returns:
        The exit status.

    Raises:
        SystemExit: The command line is wrong, or was answered.
    """
    if _stdout.taken_over is not None:
        # A person's shell may have the cookie as well; what was asked for belongs on the terminal.
        _stdout.taken_over.give_back()
    manifest = adapter.manifest
    if not arguments:
        print(_not_launched(adapter), file=sys.stderr)  # noqa: T201 - for a person
        return 1
    options = _parser(adapter).parse_args(arguments)
    if options.manifest:
        from google.protobuf.json_format import MessageToJson  # noqa: PLC0415 - for this option alone

        from mimic_plugin_sdk._servicer import manifest_of  # noqa: PLC0415 - for this option alone

        text = MessageToJson(
            manifest_of(adapter), preserving_proto_field_name=True, always_print_fields_with_no_presence=True
        )
        print(text)  # noqa: T201 - what was asked for
        return 0
    try:
        asyncio.run(_listening(adapter, options))
    except LaunchError as error:
        print(f"{manifest.name}: {error}", file=sys.stderr)  # noqa: T201 - one clear line
        return 1
    return 0


def _not_launched(adapter: type[Adapter[Any]]) -> str:
    manifest = adapter.manifest
    return (
        f"{manifest.name} {manifest.version}: {manifest.description}\n"
        "It is a Mimic adapter, and Mimic starts it: put it on Mimic's PATH, or into a directory that Mimic "
        "is configured to search.\n"
        f"To run it yourself, for a Mimic elsewhere: {manifest.name} --listen host:port\n"
        f"More: {manifest.name} --help"
    )


def _parser(adapter: type[Adapter[Any]]) -> argparse.ArgumentParser:
    manifest = adapter.manifest
    parser = argparse.ArgumentParser(
        prog=manifest.name,
        description=f"{manifest.description} A Mimic adapter for the channel {manifest.channel!r}; "
        "without options it expects to be started by Mimic.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"{manifest.name} {manifest.version}")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--manifest", action="store_true", help="print the manifest as JSON")
    what.add_argument("--listen", metavar="HOST:PORT", help="serve a Mimic elsewhere (an attached adapter)")
    parser.add_argument("--tls-cert", type=Path, metavar="FILE", help="certificate chain to serve with, PEM")
    parser.add_argument("--tls-key", type=Path, metavar="FILE", help="its private key, PEM")
    parser.add_argument(
        "--tls-client-ca",
        type=Path,
        metavar="FILE",
        help="certificates of those who may connect (mutual TLS), PEM",
    )
    parser.add_argument(
        "--insecure-plaintext", action="store_true", help="allow plaintext on an address that is not loopback"
    )
    return parser


async def _listening(adapter: type[Adapter[Any]], options: argparse.Namespace) -> None:
    from mimic_plugin_sdk._server import AdapterServer  # noqa: PLC0415 - not for --help

    credentials = _credentials(options)
    host, _, port = options.listen.rpartition(":")
    if not host or not port.isdecimal():
        raise LaunchError(f"--listen {options.listen}: give host:port, such as 127.0.0.1:7000 or [::1]:7000")
    if credentials is None and host.strip("[]") not in _LOOPBACK and not options.insecure_plaintext:
        raise LaunchError(
            f"--listen {options.listen} would speak plaintext to the network: give --tls-cert and --tls-key, "
            "or say --insecure-plaintext"
        )
    route_logging(log_level(os.environ))
    server = AdapterServer(adapter())
    await server.prepare()
    bound = server.bind(options.listen, credentials)
    await server.start()
    server.end_on_interrupt()
    _logger.info("listening on %s:%s, %s", host, bound, "TLS" if credentials else "plaintext")
    await server.wait_until_drained()


def _credentials(options: argparse.Namespace) -> ServerCredentials | None:
    if not options.tls_cert and not options.tls_key:
        if options.tls_client_ca:
            raise LaunchError("--tls-client-ca needs --tls-cert and --tls-key")
        return None
    if not options.tls_cert or not options.tls_key:
        raise LaunchError("--tls-cert and --tls-key go together")
    try:
        pair = (options.tls_key.read_bytes(), options.tls_cert.read_bytes())
        clients = options.tls_client_ca.read_bytes() if options.tls_client_ca else None
    except OSError as error:
        raise LaunchError(f"cannot read {error.filename}: {error.strerror}") from None
    return ssl_server_credentials([pair], clients, require_client_auth=clients is not None)
