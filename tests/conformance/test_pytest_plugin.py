"""The one line in an adapter's tests: each rule is a test, told as pytest tells tests."""

import subprocess
import sys
from pathlib import Path

from tests.conformance.subjects import ADAPTER, AGENT
from tests.support.processes import ROOT

ONE_LINE = f"""
from pathlib import Path
from mimic_plugin_sdk.testing import AgentProcess
from mimic_plugin_sdk.testing.pytest_plugin import conformance

test_conformance = conformance(
    command={[*ADAPTER, "--break", "S1-health"]!r},
    agent=AgentProcess({AGENT!r}, witness=True, cwd={str(ROOT)!r}),
    env={{"PYTHONPATH": {str(ROOT)!r}}},
    known_failures=KNOWN,
)
"""

CHOSEN = "S1-health or R4-duplicate or R7-unacked or S2-reflection"


def run_pytest(folder: Path, known: str) -> str:
    test = folder / "test_adapter.py"
    test.write_text(ONE_LINE.replace("KNOWN", known))
    command = [sys.executable, "-m", "pytest", "-rA", "-p", "no:cacheprovider", "-k", CHOSEN, str(test)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    return done.stdout + done.stderr


def test_each_rule_is_a_test(tmp_path: Path) -> None:
    told = run_pytest(tmp_path, "None")
    assert "PASSED test_adapter.py::test_conformance[R4-duplicate-send]" in told, told
    assert "PASSED test_adapter.py::test_conformance[S2-reflection]" in told
    assert "FAILED test_adapter.py::test_conformance[S1-health]" in told
    assert "expected SERVING for plugin; saw NOT_SERVING" in told
    assert "SKIPPED" in told
    assert "not run: needs a text that makes the agent say many messages" in told
    assert "1 failed, 2 passed, 1 skipped" in told


def test_known_failures_are_expected(tmp_path: Path) -> None:
    (tmp_path / "known.txt").write_text("S1-health # not yet\nS2-reflection\n")
    told = run_pytest(tmp_path, "Path('known.txt')")
    assert "XFAIL test_adapter.py::test_conformance[S1-health]" in told, told
    assert "FAILED test_adapter.py::test_conformance[S2-reflection]" in told
    assert "take it off the list of known failures" in told
