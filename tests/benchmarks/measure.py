"""Figures, and what they are measured with."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import psutil


@dataclass(frozen=True)
class Figure:
    """One figure beside its floor."""

    name: str
    unit: str
    value: float
    floor: float | None = None
    """The same unit, of the bare thing that it is compared with. None: it stands alone."""
    limit: float | None = None
    """Most that `ratio` may be, or `value` where there is no floor. None: it is only reported."""
    detail: str = ""

    @property
    def ratio(self) -> float | None:
        """The value as a multiple of its floor."""
        return self.value / self.floor if self.floor else None

    @property
    def ok(self) -> bool:
        """Whether it is within its limit."""
        if self.limit is None:
            return True
        return (self.ratio if self.ratio is not None else self.value) <= self.limit

    def as_json(self) -> dict[str, Any]:
        """As it stands in `build/bench.json`."""
        return {**asdict(self), "ratio": self.ratio, "ok": self.ok}


class CpuTime:
    """CPU seconds of processes from here on: of this one, and of others with the children they have."""

    def __init__(self, pids: Sequence[int] = (), *, own: bool = False) -> None:
        self._own = own
        self._processes = [psutil.Process(pid) for pid in pids]
        self._before = self._now()
        self.wall_before = time.perf_counter()

    def seconds(self) -> float:
        """CPU seconds since it was made."""
        return self._now() - self._before

    def wall_seconds(self) -> float:
        """Seconds since it was made."""
        return time.perf_counter() - self.wall_before

    def _now(self) -> float:
        total = time.process_time() if self._own else 0.0
        for process in self._processes:
            for each in (process, *process.children(recursive=True)):
                try:
                    times = each.cpu_times()
                except psutil.NoSuchProcess:
                    continue
                total += times.user + times.system
        return total


def memory_bytes(pid: int) -> int:
    """Memory of a process and its children that is theirs alone."""
    process = psutil.Process(pid)
    return sum(each.memory_full_info().uss for each in (process, *process.children(recursive=True)))
