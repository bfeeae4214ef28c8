"""The adapter that keeps every rule, or breaks the one that it is told to, as a subject of the kit."""

import sys
from datetime import timedelta
from pathlib import Path

from mimic_plugin_sdk.testing import AgentProcess, Subject

from tests.support.processes import ROOT

ADAPTER = [sys.executable, "-m", "tests.support.adapters.broken"]
AGENT = [sys.executable, "-m", "tests.support.adapters.broken.agent"]


def agent() -> AgentProcess:
    return AgentProcess(AGENT, witness=True, cwd=ROOT)


def broken(rule: str, folder: Path) -> Subject:
    return Subject(
        command=[*ADAPTER, "--break", rule],
        agent=agent(),
        settings=lambda running: running.info,
        talkative="say {n}",
        env={"PYTHONPATH": str(ROOT), "BROKEN_FOLDER": str(folder)},
        answer_within=timedelta(seconds=4),
    )
