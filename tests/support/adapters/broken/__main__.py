"""Starts and ends as go-plugin's protocol says, but for the rule that is broken."""

import asyncio
import datetime as dt
import json
import os
import signal
import sys
import tempfile
from pathlib import Path

import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from mimic.adapter.v1 import adapter_pb2_grpc
from mimic.launch import COOKIE, COOKIE_VARIABLE, grpc_controller_pb2, grpc_controller_pb2_grpc

from tests.support.adapters.broken.breaks import breaks
from tests.support.adapters.broken.service import AdapterService

_SERVICES = ("plugin", "mimic.adapter.v1.AdapterService")


def log(message: str) -> None:
    now = dt.datetime.now(dt.UTC).isoformat(timespec="microseconds")
    level = 20 if breaks("O2-log-lines") else "info"
    if breaks("O2-log-lines:timestamp"):
        now = now.replace(".", ",")
    entry = {"@level": level, "@message": message, "@timestamp": now}
    print(json.dumps(entry), file=sys.stderr, flush=True)


class Controller(grpc_controller_pb2_grpc.GRPCControllerServicer):
    def __init__(self, ending: asyncio.Event) -> None:
        self._ending = ending

    async def Shutdown(
        self,
        request: grpc_controller_pb2.Empty,
        context: grpc.aio.ServicerContext[grpc_controller_pb2.Empty, grpc_controller_pb2.Empty],
    ) -> grpc_controller_pb2.Empty:
        if breaks("E1-shutdown:late"):
            await asyncio.sleep(3)
        self._ending.set()
        return grpc_controller_pb2.Empty()


def _version() -> str:
    offered = os.environ.get("PLUGIN_PROTOCOL_VERSIONS")
    if offered is None:
        return "0" if breaks("L6-version-absent") else "1"
    versions = offered.split(",")
    if "1" not in versions:
        return versions[0] if breaks("L7-version-none-common") else "1"
    return versions[0] if breaks("L5-version-common") else "1"


def _socket() -> Path:
    given = os.environ.get("PLUGIN_UNIX_SOCKET_DIR")
    elsewhere = breaks("L3-address") if given else breaks("L4-default-address")
    folder = os.environ["BROKEN_FOLDER"] if elsewhere else given or tempfile.gettempdir()
    return Path(folder) / f"{os.getpid()}.sock"


def _handshake(network: str, address: str) -> str:
    line = f"1|{_version()}|{network}|{address}|grpc|"
    if breaks("L1-handshake-line"):
        line = line.replace("grpc", "GRPC")
    if breaks("L2-no-unasked-certificate"):
        line += "MIIB"
    if os.environ.get("PLUGIN_MULTIPLEX_GRPC") and not breaks("L8-multiplex-declined"):
        line += "|false"
    return line


async def _watch_parent(parent: int, ending: asyncio.Event) -> None:
    while os.getppid() == parent:  # noqa: ASYNC110 - nothing tells but asking
        await asyncio.sleep(0.1)
    ending.set()


async def serve(parent: int) -> None:
    longest = 4 * 1024 * 1024 if breaks("F2-huge-text") else -1
    server = grpc.aio.server(
        options=[("grpc.max_receive_message_length", longest), ("grpc.max_send_message_length", -1)]
    )
    ending = asyncio.Event()
    healths = health.aio.HealthServicer()
    for name in _SERVICES:
        broken = name == "plugin" and breaks("S1-health")
        statuses = health_pb2.HealthCheckResponse
        await healths.set(name, statuses.NOT_SERVING if broken else statuses.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(healths, server)
    adapter_pb2_grpc.add_AdapterServiceServicer_to_server(AdapterService(log), server)
    grpc_controller_pb2_grpc.add_GRPCControllerServicer_to_server(Controller(ending), server)
    if not breaks("S2-reflection"):
        reflection.enable_server_reflection(_SERVICES[1:], server)
    path = _socket()
    network, address = "unix", str(path)
    if breaks("L3-address:tcp"):
        # The system's own choice is above the host's range of ports.
        network, address = "tcp", f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    else:
        server.add_insecure_port(f"unix:{path}")
    await server.start()
    if breaks("O1-stdout-quiet:before"):
        print("starting", flush=True)
    print(_handshake(network, address), flush=True)
    if breaks("O1-stdout-quiet"):
        print("started", flush=True)
    log("serving")
    watch = asyncio.create_task(
        _watch_parent(parent, asyncio.Event() if breaks("E3-host-killed") else ending)
    )
    await ending.wait()
    if not breaks("E1-shutdown:serving"):
        await healths.enter_graceful_shutdown()
    await asyncio.sleep(3 if breaks("E1-shutdown:serving") else 0.1)
    if breaks("E1-shutdown") and os.getppid() == parent:
        await asyncio.sleep(60)
    watch.cancel()
    await server.stop(0)
    if breaks("E1-shutdown:socket"):
        path.touch()


def main() -> None:
    if os.environ.get(COOKIE_VARIABLE) != COOKIE and not breaks("L9-cookie:serves"):
        if not breaks("L9-cookie:silent"):
            print("An adapter for Mimic: its host starts it.", file=sys.stderr)
        sys.exit(0 if breaks("L9-cookie") else 1)
    if not breaks("E2-signals"):
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    if breaks("E2-signals:term"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    asyncio.run(serve(os.getppid()))


if __name__ == "__main__":
    main()
