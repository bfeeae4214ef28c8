"""Starts and ends processes so that none outlives the host, and none is ended that is not ours."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeAlias

# Runs in the new process before the adapter does: code between fork and exec (preexec_fn) may hang where the
# host has threads, and gRPC has. Python ignores SIGPIPE, and exec would hand that on.
_TRAMPOLINE = """
import ctypes, os, resource, signal, sys
host, memory, *command = sys.argv[1:]
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)
if os.getppid() != int(host):
    sys.exit("the host ended while it started this adapter")
if int(memory):
    resource.setrlimit(resource.RLIMIT_AS, (int(memory), int(memory)))
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
try:
    os.execv(command[0], command)
except OSError as error:
    print(f"cannot be run: {error.strerror}", file=sys.stderr)
    sys.exit(126)
"""
CANNOT_RUN = 126
"""Exit code of a process whose command could not be run, as in a shell."""


_Spawned: TypeAlias = "tuple[subprocess.Popen[bytes], int, int]"
"""A process, and our ends of its stdout and stderr."""


class Child:
    """A process in a group of its own. Belongs to the event loop that it was made in."""

    def __init__(self, spawned: _Spawned, loop: asyncio.AbstractEventLoop) -> None:
        self._process, self.stdout, self.stderr = spawned
        self.pid = self._process.pid
        self.exited: asyncio.Future[int] = loop.create_future()
        """Its exit code, negative for a signal, once it has ended and its group is gone."""
        self._loop = loop
        self._started = _start_time(self.pid)
        threading.Thread(target=self._await_end, name=f"adapter-{self.pid}", daemon=True).start()

    def signal_group(self, number: signal.Signals) -> None:
        """Sends a signal to the process's group. Does nothing once it has ended."""
        if self.exited.done() or _start_time(self.pid) != self._started:
            return
        try:
            os.killpg(self.pid, number)
        except (ProcessLookupError, PermissionError):
            # It has left its group, which it may.
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def close_pipes(self) -> None:
        """Closes our ends of its stdout and stderr."""
        os.close(self.stdout)
        os.close(self.stderr)

    def _await_end(self) -> None:
        # The ended process is not reaped here: until then its pid, and so its group's, is nobody else's.
        if hasattr(os, "waitid"):
            os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        else:
            self._process.wait()
        try:
            self._loop.call_soon_threadsafe(self._end)
        except RuntimeError:  # the loop is closed; nobody waits any more
            self._clear_away()

    def _end(self) -> None:
        code = self._clear_away()
        if not self.exited.done():
            self.exited.set_result(code)

    def _clear_away(self) -> int:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        return self._process.wait()


class Spawner:
    """Starts processes from a thread that lives as long as it does.

    PR_SET_PDEATHSIG fires when the thread that forked ends, hence one thread for all, and for as long as any
    of them lives.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "adapter-spawner")

    async def spawn(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        directory: Path,
        memory_limit_bytes: int | None = None,
    ) -> Child:
        """Starts a process: nothing on stdin, pipes on stdout and stderr, no environment but the given.

        A command that cannot be run ends with `CANNOT_RUN` and a word on stderr.

        Args:
            command: An absolute path, and arguments.
            environment: Its environment.
            directory: Its working directory.
            memory_limit_bytes: Most address space. None: no limit.
        """
        limits = [str(os.getpid()), str(memory_limit_bytes or 0)]
        whole = [sys.executable, "-I", "-S", "-c", _TRAMPOLINE, *limits, *command]
        started = self._thread.submit(_start, whole, environment, directory)
        try:
            spawned = await asyncio.shield(asyncio.wrap_future(started))
        except asyncio.CancelledError:
            started.add_done_callback(_undo)
            raise
        return Child(spawned, asyncio.get_running_loop())

    def close(self) -> None:
        """Ends the thread, and with it whatever processes are left."""
        self._thread.shutdown(wait=False)


def _start(command: Sequence[str], environment: Mapping[str, str], directory: Path) -> _Spawned:
    stdout, stdout_of_child = os.pipe()
    stderr, stderr_of_child = os.pipe()
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=stdout_of_child,
            stderr=stderr_of_child,
            env=dict(environment),
            cwd=directory,
            process_group=0,
        )
    except BaseException:
        os.close(stdout)
        os.close(stderr)
        raise
    finally:
        os.close(stdout_of_child)
        os.close(stderr_of_child)
    return process, stdout, stderr


def _undo(started: Future[_Spawned]) -> None:
    if started.cancelled() or started.exception() is not None:
        return
    process, stdout, stderr = started.result()
    os.close(stdout)
    os.close(stderr)
    process.kill()
    process.wait()


def _start_time(pid: int) -> str:
    """When a process started, in the kernel's own unit. Returns "" where the kernel does not tell."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    # proc_pid_stat(5): field 22; the name, field 2, may hold spaces and parentheses.
    return stat.rpartition(")")[2].split()[19]
