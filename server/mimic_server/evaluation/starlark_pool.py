"""Child processes that run scripts: a few, used again and again, ended when a script takes too long."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import IO, Any

_CHILD = "mimic_server.evaluation.starlark_child"
_EXIT_PANIC = 3
_START_SECONDS = 30.0
_MAX_ANSWER_BYTES = 64 << 10


@dataclass(frozen=True, slots=True)
class Limits:
    """What one run of a script may take."""

    cpu_seconds: float = 2.0
    wall_seconds: float = 10.0
    memory_bytes: int = 256 << 20
    """Of the child, its own 60 MB included."""


class ChildFailed(Exception):  # noqa: N818 - an outcome, handled by the method
    """The child ended or was ended; the text says why, in words that follow "The script"."""


class StarlarkPool:
    """Runs scripts in child processes, `size` at once; further ones wait.

    A thread belongs to each child, so that the pool serves every event loop and belongs to none.
    """

    def __init__(self, size: int = 2, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.threads = ThreadPoolExecutor(size, "starlark")
        self._own = threading.local()
        self._children: set[_Child] = set()
        self._lock = threading.Lock()

    def run(self, script: str, transcript: list[dict[str, Any]]) -> dict[str, Any]:
        """Runs a script on the thread's own child; called on one of `threads`.

        Returns:
            `value`, `explanation` and `evidence`, or `error`.

        Raises:
            ChildFailed: The child could not be started, died, or took too long.
        """
        child: _Child | None = getattr(self._own, "child", None)
        if child is None:
            child = self._own.child = _Child(self.limits.memory_bytes)
            with self._lock:
                self._children.add(child)
        request = {"script": script, "transcript": transcript, "cpu_seconds": self.limits.cpu_seconds}
        try:
            return child.ask(request, self.limits.wall_seconds)
        except ChildFailed:
            self._own.child = None
            with self._lock:
                self._children.discard(child)
            child.end()
            raise

    def close(self) -> None:
        """Ends the children. Runs under way fail."""
        self.threads.shutdown(wait=False, cancel_futures=True)
        with self._lock:
            children, self._children = self._children, set()
        for child in children:
            child.end()


class _Child:
    def __init__(self, memory_bytes: int) -> None:
        # Secrets in the environment are no business of the child's.
        kept = {name: os.environ[name] for name in ("PYTHONPATH", "PATH", "LANG") if name in os.environ}
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", _CHILD, str(memory_bytes)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**kept, "PYTHONUTF8": "1"},
            # Ctrl-C in a terminal is for the server, which may still want its scripts' answers.
            process_group=0,
        )
        self._ready = False

    def ask(self, request: dict[str, Any], wall_seconds: float) -> dict[str, Any]:
        body = json.dumps(request).encode()
        if not self._ready:
            self._receive(time.monotonic() + _START_SECONDS)
            self._ready = True
        deadline = time.monotonic() + wall_seconds
        try:
            _pipe(self._process.stdin).write(len(body).to_bytes(4) + body)
            _pipe(self._process.stdin).flush()
        except OSError:
            raise ChildFailed(self._why()) from None
        return self._receive(deadline)

    def end(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                _pipe(pipe).close()

    def _receive(self, deadline: float) -> dict[str, Any]:
        length = int.from_bytes(self._read(4, deadline))
        if length > _MAX_ANSWER_BYTES:
            raise ChildFailed("answered more than 64 KiB")
        answer: dict[str, Any] = json.loads(self._read(length, deadline))
        return answer

    def _read(self, size: int, deadline: float) -> bytes:
        source = _pipe(self._process.stdout).fileno()
        data = b""
        with selectors.DefaultSelector() as selector:
            selector.register(source, selectors.EVENT_READ)
            while len(data) < size:
                if not selector.select(max(deadline - time.monotonic(), 0)):
                    raise ChildFailed("was ended because it took too long")
                piece = os.read(source, size - len(data))
                if not piece:
                    raise ChildFailed(self._why())
                data += piece
        return data

    def _why(self) -> str:
        code = self._process.wait()
        if code == -signal.SIGXCPU:
            return "was ended because it used too much processor time"
        if code in {-signal.SIGABRT, _EXIT_PANIC}:
            return "broke off: most likely it used too much memory"
        if code < 0:
            return f"broke off ({signal.Signals(-code).name}): it used too much memory, or nested too deep"
        return f"could not be run: its process ended with exit code {code}"


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise ValueError("the process was started without this pipe")
    return pipe


shared = StarlarkPool(size=min(os.cpu_count() or 1, 4))
"""The process's pool. Its children are started when they are first needed, and end with the process."""
atexit.register(shared.close)
