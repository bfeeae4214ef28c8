"""`mimic run` and `mimic chat`: a plan file, with a server or without one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from mimic_server.cli.chat import chat
from mimic_server.cli.errors import CommandError, Exit
from mimic_server.cli.plan import Drafts, Plan, load
from mimic_server.cli.playing import exit_of, play, prepare
from mimic_server.cli.render import to_json
from mimic_server.cli.running import server
from mimic_server.cli.summary import show_report
from mimic_server.cli.view import RunView
from mimic_server.domain.errors import InvalidInputError


async def run_plan(
    path: Path, changes: Mapping[str, int | None], *, follow: bool, as_json: bool, where: Mapping[str, Any]
) -> Exit:
    """Runs a plan file and prints its report.

    Raises:
        CommandError: The plan is wrong, or something could not be used.
    """
    plan = _changed(load(path), {name: value for name, value in changes.items() if value is not None})
    console = Console(quiet=as_json)
    async with server(**where) as remote:
        with RunView(console, follows=follow and not as_json) as view:
            prepared = await prepare(remote, plan, view)
            report = await play(remote, plan, prepared, view)
    if as_json:
        Console().out(json.dumps(to_json(report), indent=2, ensure_ascii=False), highlight=False)
    else:
        show_report(console, report)
    return exit_of(report)


async def chat_plan(path: Path, *, where: Mapping[str, Any]) -> Exit:
    """Lets a person talk with a plan's agent as the plan's first persona.

    Raises:
        CommandError: The plan is wrong, or the agent cannot be reached.
    """
    plan = load(path)
    personas = Drafts(generate=1) if isinstance(plan.personas, Drafts) else plan.personas[:1]
    plan = plan.model_copy(update={"personas": personas, "evaluations": ()})
    async with server(**where) as remote:
        await chat(Console(), remote, plan)
    return Exit.PASSED


def _changed(plan: Plan, changes: Mapping[str, int]) -> Plan:
    try:
        return Plan.parse({**plan.model_dump(by_alias=True, exclude_unset=True), **changes})
    except InvalidInputError as error:
        raise CommandError(f"--{error.message}", Exit.USAGE) from None
