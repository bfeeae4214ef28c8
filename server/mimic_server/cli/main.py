"""The `mimic` command."""

from __future__ import annotations

import asyncio
import importlib.metadata
import os
import signal
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import click
from click.shell_completion import get_completion_class
from rich.console import Console

from mimic_server.cli.commands import groups
from mimic_server.cli.errors import CommandError, Exit, of_mimic
from mimic_server.domain.errors import MimicError

T = TypeVar("T")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--address", metavar="HOST:PORT", help="The server. Default: the one that runs on --data-dir.")
@click.option("--api-key", metavar="KEY", help="The key. Default: MIMIC_API_KEY, else the one in --data-dir.")
@click.option(
    "--data-dir", metavar="DIR", help="Where Mimic keeps its data here. Default: ~/.local/share/mimic."
)
@click.version_option(importlib.metadata.version("mimic-server"), prog_name="mimic")
def mimic(address: str | None, api_key: str | None, data_dir: str | None) -> None:
    """Test conversational agents with simulated people."""


@mimic.command()
@click.option("--host", help="Address to listen at. Default: 127.0.0.1.")
@click.option("--port", type=int, help="Port of gRPC; 0 takes a free one. Default: 50051.")
@click.option("--data-dir", metavar="DIR", help="As before the command.")
@click.pass_context
def serve(context: click.Context, host: str | None, port: int | None, data_dir: str | None) -> None:
    """Serve the API, and do the work of sessions, runs and bootstraps."""
    from mimic_server.cli.serving import serve as serve_until_stopped

    data_dir = data_dir or context.find_root().params["data_dir"]
    sys.exit(_run(serve_until_stopped(Console(), host=host, port=port, data_dir=data_dir)))


@mimic.command()
@click.pass_context
def demo(context: click.Context) -> None:
    """See personas talk to a bundled agent, and what the evaluations find."""
    from mimic_server.cli.client import data_directory
    from mimic_server.cli.demo import demo as show

    folder = context.find_root().params["data_dir"]
    where = Path(folder) if folder else data_directory(None) / "demo"
    sys.exit(_run(show(Console(), where)))


@mimic.command()
@click.argument("plan", type=click.Path(path_type=Path))
@click.option("--repeats", type=int, help="Sessions of each persona, instead of the plan's.")
@click.option("--concurrency", type=int, help="Sessions at once, instead of the plan's.")
@click.option("--max-turns", type=int, help="Turns of a session at most, instead of the plan's.")
@click.option("--seed", type=int, help="Seed, instead of the plan's.")
@click.option("--follow/--no-follow", default=True, help="Show the first session's transcript as it is said.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON, and nothing else.")
@click.pass_context
def run(context: click.Context, /, plan: Path, *, follow: bool, as_json: bool, **changes: int | None) -> None:
    """Run a plan file, with a server or without one.

    Exit status: 0 passed, 1 an evaluation failed or the agent broke, 2 the plan is wrong, 3 inconclusive,
    4 the server, an adapter or the model could not be used.
    """
    from mimic_server.cli.runs import run_plan

    where = context.find_root().params
    sys.exit(_run(run_plan(plan, changes, follow=follow, as_json=as_json, where=where)))


@mimic.command()
@click.argument("plan", type=click.Path(path_type=Path))
@click.pass_context
def chat(context: click.Context, plan: Path) -> None:
    """Talk with a plan's agent yourself, as its first persona."""
    from mimic_server.cli.runs import chat_plan

    sys.exit(_run(chat_plan(plan, where=context.find_root().params)))


@mimic.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print what makes a shell complete commands, flags and their values.

    For bash: source <(mimic completion bash)
    """
    kind = get_completion_class(shell)
    if kind is not None:
        click.echo(kind(mimic, {}, "mimic", "_MIMIC_COMPLETE").source())


for _group in groups():
    mimic.add_command(_group)


def _run(work: Coroutine[Any, Any, T]) -> T:
    """Runs a command's work to its end; Ctrl-C cancels it once, and again ends it at once.

    Raises:
        CommandError: What went wrong, in one line.
    """

    async def main() -> T:
        task = asyncio.ensure_future(work)
        loop = asyncio.get_running_loop()

        def interrupt() -> None:
            loop.remove_signal_handler(signal.SIGINT)
            task.cancel()

        loop.add_signal_handler(signal.SIGINT, interrupt)
        loop.add_signal_handler(signal.SIGTERM, task.cancel)
        return await task

    try:
        return asyncio.run(main())
    except MimicError as error:
        raise of_mimic(error) from None
    except (KeyboardInterrupt, asyncio.CancelledError):
        raise CommandError("stopped", Exit.INCONCLUSIVE) from None


def main() -> None:
    """Runs the command line."""
    try:
        mimic.main(prog_name="mimic")
    except BrokenPipeError:
        # Whoever read our output has seen enough; Python must not complain when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
