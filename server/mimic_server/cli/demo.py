"""`mimic demo`: the main job on the bundled example agent."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from rich.console import Console

from mimic_server.cli.errors import CommandError, Exit
from mimic_server.cli.plan import ChannelPlan, Drafts, Plan
from mimic_server.cli.playing import exit_of, play, prepare
from mimic_server.cli.running import server
from mimic_server.cli.summary import show_report
from mimic_server.cli.view import RunView
from mimic_server.domain.agents import AgentSpec

DESCRIPTION = (
    "Customer support of Northwind Outdoor, a shop for outdoor gear. It answers questions about orders"
    " (status and delivery date by order number), refunds, changes of the delivery address and opening hours."
    " It is expected to answer within two seconds, to remember the order number it was told, and to stay"
    " polite about refunds."
)
START_SECONDS = 20
SESSIONS = 6


async def demo(console: Console, data_dir: Path) -> Exit:
    """Starts the example agent and a server, drafts six personas, runs them at once and reports.

    Returns:
        PASSED when the demo did its work, whatever the evaluations found: the agent's faults are planted.

    Raises:
        CommandError: Something could not be started.
    """
    async with _example_agent() as url:
        plan = Plan(
            name="demo",
            agent=AgentSpec(name="Northwind Outdoor support", description=DESCRIPTION, platform="web chat"),
            channel=ChannelPlan(name="rest", settings={"url": f"{url}/chat"}),
            personas=Drafts(generate=SESSIONS),
            evaluations=Drafts(generate=5),
            concurrency=SESSIONS,
            max_turns=12,
            seed=7,
        )
        async with server(address=None, api_key=None, data_dir=str(data_dir)) as remote:
            data_dir = remote.data_directory or data_dir
            with RunView(console, follows=True) as view:
                prepared = await prepare(remote, plan, view)
                report = await play(remote, plan, prepared, view)
    show_report(console, report)
    console.print()
    command = sys.argv[0] if "/" in sys.argv[0] else "mimic"
    for line in (
        f"The data lies in {data_dir}. Next:",
        f"  {command} --data-dir {data_dir} serve           # serves it; then, in another terminal:",
        f"  {command} --data-dir {data_dir} sessions list   # its sessions, and `sessions --help` for more",
        f"  {command} run plan.yaml       # your own agent: see README.md",
    ):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    return Exit.PASSED if exit_of(report) is not Exit.INFRASTRUCTURE else Exit.INFRASTRUCTURE


@asynccontextmanager
async def _example_agent() -> AsyncIterator[str]:
    """Runs the example agent in a process of its own; yields its address.

    Raises:
        CommandError: It is not there, or does not start.
    """
    main = Path(__file__).parents[3] / "examples" / "support_agent" / "__main__.py"
    if not main.exists():
        raise CommandError("the demo needs Mimic's repository: run `make demo` there", Exit.USAGE)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "examples.support_agent", "--port", "0",
        cwd=main.parents[2], stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout is not None  # noqa: S101 - it was asked for
        try:
            async with asyncio.timeout(START_SECONDS):
                line = (await process.stdout.readline()).decode()
        except TimeoutError:
            line = ""
        if "http://" not in line:
            raise CommandError("the example agent does not start", Exit.INFRASTRUCTURE)
        yield line[line.index("http://") :].strip()
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
