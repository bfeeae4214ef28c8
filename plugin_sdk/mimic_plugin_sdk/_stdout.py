"""Takes over standard output, which belongs to the handshake, when a host started this process.

Importing this module does it, because the author's code may print as early as its own import. What is printed
later, also by C code and child processes, goes to the log.
"""

import atexit
import os
import sys
import threading
from collections.abc import Callable

from mimic_plugin_sdk._log import write_line

COOKIE_NAME = "MIMIC_ADAPTER_COOKIE"
COOKIE = "0c2b7a6e-6a2f-4ac1-9f2e-3b0f6b1f5d5e"
"""Says that a host started the process. A courtesy to people, not security."""

listeners: list[Callable[[bytes], None]] = []
"""Called with each piece that is printed, in another thread."""

_STDOUT = 1
_STDERR = 2
_PIECE_BYTES = 64 * 1024


class Takeover:
    """Standard output, taken over."""

    def __init__(self) -> None:
        """Take over."""
        self.host_pid = os.getppid()
        """The process that started this one."""
        self._host = os.dup(_STDOUT)
        reading, writing = os.pipe()
        os.dup2(writing, _STDOUT)
        os.close(writing)
        if sys.stdout is not None:
            sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
        self._thread = threading.Thread(target=self._pump, args=(reading,), name="mimic-stdout", daemon=True)
        self._thread.start()
        # Also when the author's module fails to import, what it printed has to reach the log.
        atexit.register(self._end)

    def tell(self, line: str) -> None:
        """Tell the host one line, at once."""
        os.write(self._host, line.encode() + b"\n")

    def give_back(self) -> None:
        """Let what is printed go where it went before."""
        if sys.stdout is not None:
            sys.stdout.flush()
        os.dup2(self._host, _STDOUT)

    def _end(self) -> None:
        if sys.stdout is not None:
            sys.stdout.flush()
        # The last writing end but those of child processes goes, and the thread comes to its end.
        os.dup2(_STDERR, _STDOUT)
        self._thread.join(timeout=0.5)

    def _pump(self, reading: int) -> None:
        rest = b""
        while piece := os.read(reading, _PIECE_BYTES):
            for listener in listeners:
                listener(piece)
            *lines, rest = (rest + piece).split(b"\n")
            if len(rest) > _PIECE_BYTES:
                lines, rest = [*lines, rest], b""
            for line in lines:
                _log_printed(line)
        if rest:
            _log_printed(rest)


def _log_printed(line: bytes) -> None:
    write_line("info", line.decode(errors="replace").rstrip("\r"), **{"@module": "stdout"})


taken_over: Takeover | None = None
"""The handshake's way out. None: no host started this process."""

cookie = os.environ.pop(COOKIE_NAME, None)
"""What the environment said. Taken from it, so that child processes do not take it for theirs."""

if cookie == COOKIE:
    taken_over = Takeover()
