"""What the process does, by the name of its channel. Each serves as it should where nothing else is said."""

import asyncio
import contextlib
import os
import pathlib
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[4]


def print_handshake(path: str) -> None:
    sys.stdout.write(f"1|1|unix|{path}|grpc|\n")
    sys.stdout.flush()


def socket_path() -> str:
    return str(pathlib.Path(os.environ["PLUGIN_UNIX_SOCKET_DIR"], "hostile.sock"))


def log(text: str) -> None:
    os.write(2, text.encode() + b"\n")


def sleep_for_ever() -> None:
    while True:
        signal.pause()


def silent() -> None:
    """Never says where it listens."""
    log("I say nothing")
    sleep_for_ever()


def shout() -> None:
    """Says everything but where it listens."""
    while True:
        os.write(1, b"x" * 65536)


def mumble() -> None:
    """Prints before the handshake."""
    sys.stdout.write("Welcome to my adapter!\n")
    sys.stdout.flush()
    sleep_for_ever()


def crash_on_start() -> None:
    """Ends at once."""
    log("[ERROR] the licence has expired")
    sys.exit(3)


def garbage() -> None:
    """Listens, and answers with noise."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(socket_path())
    listener.listen()
    print_handshake(socket_path())
    while True:
        peer, _ = listener.accept()
        with contextlib.suppress(OSError):
            peer.sendall(secrets.token_bytes(65536))


def deaf() -> None:
    """Listens, and never answers."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(socket_path())
    listener.listen()
    print_handshake(socket_path())
    peers = []
    while True:
        peers.append(listener.accept())


def flood_stdout() -> None:
    """Prints without end, and without a line's end."""
    threading.Thread(target=write_for_ever, args=(1, b"x" * 65536), daemon=True).start()


def flood_stderr() -> None:
    """Logs without end."""
    line = b'{"@level": "info", "@message": "flood", "@timestamp": "2026-01-01T00:00:00.000000Z"}\n'
    threading.Thread(target=write_for_ever, args=(2, line * 700), daemon=True).start()


def write_for_ever(descriptor: int, data: bytes) -> None:
    while True:
        os.write(descriptor, data)


def crash_soon() -> None:
    """Serves for a moment, and crashes, every time."""
    threading.Timer(float(os.environ.get("HOSTILE_CRASH_SECONDS", "2")), crash).start()


def crash() -> None:
    log("goodbye, cruel world")
    os._exit(7)


def ignore_sigterm() -> None:
    """Does not end, neither when asked nor by SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_: log("SIGTERM? No."))


def grandchild() -> None:
    """Leaves a process of its own behind, which holds its stdout and stderr open."""
    code = "import signal as s; s.signal(s.SIGTERM, s.SIG_IGN); print('up', flush=True); s.pause()"
    left = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert left.stdout is not None
    left.stdout.readline()
    log(f"grandchild {left.pid}")


def leave_group() -> None:
    """Goes over to the group of its parent, where a signal to its own does not reach it."""
    os.setpgid(0, os.getpgid(os.getppid()))


BEFORE_SERVING = {
    "silent": silent,
    "shout": shout,
    "mumble": mumble,
    "crash-on-start": crash_on_start,
    "garbage": garbage,
    "deaf": deaf,
    "grandchild": grandchild,
    "leave-group": leave_group,
}
WHILE_SERVING = {
    "flood-stdout": flood_stdout,
    "flood-stderr": flood_stderr,
    "crash-soon": crash_soon,
    "ignore-sigterm": ignore_sigterm,
}


def main(behaviour: str, listen: str = "", certificates: str = "") -> None:
    """Serves on a private socket, or on host:port for a host elsewhere, with TLS if it has certificates."""
    if behaviour in BEFORE_SERVING:
        BEFORE_SERVING[behaviour]()
    sys.path.insert(0, str(ROOT))
    from tests.support.adapters.hostile.service import serve  # noqa: PLC0415 - takes a while; not all need it

    def listening(port: int) -> None:
        if listen:
            sys.stdout.write(f"listening on grpc://127.0.0.1:{port}\n")
            sys.stdout.flush()
        else:
            print_handshake(socket_path())
        if behaviour in WHILE_SERVING:
            WHILE_SERVING[behaviour]()

    address = listen or f"unix:{socket_path()}"
    asyncio.run(serve(behaviour, address, listening, certificates))
    log(f"ended at {time.time():.0f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
