"""Runs the benchmarks, prints their table and writes `build/bench.json`.

python -m tests.benchmarks [NAME ...]
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.benchmarks import hop, journal, many, sessions, spawn
from tests.benchmarks.measure import Figure

OUT = Path("build/bench.json")

BENCHMARKS: dict[str, Callable[[], Awaitable[Sequence[Figure]]]] = {
    "adapter_hop": hop.measure,
    "model_sessions": sessions.measure_model,
    "scripted_sessions": sessions.measure_scripted,
    "thousand_sessions": many.measure,
    "adapter_spawn": spawn.measure,
    "journal": journal.measure,
}


def main() -> None:
    """Measures what the command line names, or everything."""
    wanted = sys.argv[1:] or list(BENCHMARKS)
    if unknown := [name for name in wanted if name not in BENCHMARKS]:
        sys.exit(f"no benchmark is named {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    figures: list[Figure] = []
    for name in wanted:
        print(f"measuring {name} ...", file=sys.stderr, flush=True)
        figures.extend(asyncio.run(_measured(name)))
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps([figure.as_json() for figure in figures], indent=2) + "\n")
    _show(figures)
    print(f"written to {OUT}")
    sys.exit(0 if all(figure.ok for figure in figures) else 1)


async def _measured(name: str) -> Sequence[Figure]:
    return await BENCHMARKS[name]()


def _show(figures: Sequence[Figure]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("", "figure", "value", "floor", "ratio", "limit", "detail"):
        table.add_column(column, overflow="fold")
    for figure in figures:
        table.add_row(
            "ok" if figure.ok else "MISS",
            figure.name,
            f"{figure.value:,.3f} {figure.unit}",
            f"{figure.floor:,.3f}" if figure.floor is not None else "",
            f"{figure.ratio:.2f}" if figure.ratio is not None else "",
            f"{figure.limit:g}" if figure.limit is not None else "",
            figure.detail,
        )
    Console(width=None if sys.stdout.isatty() else 150).print(table)


if __name__ == "__main__":
    main()
