"""The command: its table, its exit codes, what it refuses."""

import asyncio
import shlex
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from mimic_plugin_sdk.testing.__main__ import main
from mimic_plugin_sdk.testing._launcher import launch
from mimic_plugin_sdk.testing._rules import RULES

from tests.conformance.subjects import ADAPTER, AGENT
from tests.support.processes import ROOT

WITH_AGENT = ["--env", f"PYTHONPATH={ROOT}", "--agent-command", shlex.join(AGENT), "--witness", "-"]
RULE = "C7-disconnect-unknown"


@pytest.fixture(autouse=True)
def _from_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def run_command(arguments: Sequence[str]) -> int | str | None:
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    return exit_.value.code


def test_an_adapter_that_keeps_every_rule_passes_every_rule(capsys: pytest.CaptureFixture[str]) -> None:
    code = run_command([*WITH_AGENT, "--talkative", "say {n}", "--", *ADAPTER])
    told = capsys.readouterr().out
    assert told.endswith(f"{len(RULES)} rules: {len(RULES)} passed\n"), told
    assert [line.split()[1] for line in told.splitlines()[: len(RULES)]] == [rule.id for rule in RULES]
    assert code == 0


def test_a_broken_rule_is_told_by_what_was_expected_and_seen(capsys: pytest.CaptureFixture[str]) -> None:
    chosen = ["--rule", RULE, "--rule", "S1-health"]
    code = run_command([*WITH_AGENT, *chosen, "--", *ADAPTER, "--break", "S1-health"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("failed   S1-health ")
    assert lines[1].strip() == "-> expected SERVING for plugin; saw NOT_SERVING"
    assert lines[2].startswith(f"passed   {RULE} ")
    assert lines[-1] == "2 rules: 1 passed, 1 failed"
    assert code == 1


@pytest.mark.parametrize(
    "break_rule, known, expected",
    [(RULE, RULE, (0, "known")), ("none", RULE, (1, "fixed")), (RULE, "S1-health", (1, "failed"))],
)
def test_known_failures_do_not_fail_until_they_pass(
    break_rule: str,
    known: str,
    expected: tuple[int, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    listed = tmp_path / "known.txt"
    listed.write_text(f"# An adapter may be late.\n\n{known}  # until the platform answers\n")
    command = ["--rule", RULE, "--known-failures", str(listed), "--", *ADAPTER, "--break", break_rule]
    code = run_command([*WITH_AGENT, *command])
    assert (code, capsys.readouterr().out.split()[0]) == expected


@pytest.mark.parametrize(
    "arguments, complaint",
    [
        ([], "either a command after -- or --address"),
        (["--address", "127.0.0.1:1", "--", "adapter"], "either a command after -- or --address"),
        (["--rule", "R99", "--", "adapter"], "no such rule: R99"),
        (["--settings", "[1]", "--", "adapter"], "--settings: expected a JSON object"),
        (["--settings", "@/does/not/exist", "--", "adapter"], "No such file"),
        (["--env", "PATH", "--", "adapter"], "expected NAME=VALUE"),
        (["--witness", "-", "--", "adapter"], "need --agent-command"),
    ],
)
def test_a_wrong_command_line_is_explained(
    arguments: Sequence[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(arguments) == 2
    assert complaint in capsys.readouterr().err


def test_a_list_of_known_failures_names_only_rules(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listed = tmp_path / "known.txt"
    listed.write_text("R99-unheard-of\n")
    assert run_command(["--known-failures", str(listed), "--", "adapter"]) == 2
    assert "no such rule: R99-unheard-of" in capsys.readouterr().err


def test_the_rules_can_be_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["--list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [rule.id for rule in RULES]


def test_a_command_that_does_not_start_fails(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["--rule", RULE, "--", "/does/not/exist"]) == 1
    assert "expected '/does/not/exist' to start; saw" in capsys.readouterr().out


@asynccontextmanager
async def _serving() -> AsyncIterator[str]:
    process = await launch(ADAPTER, {"PYTHONPATH": str(ROOT)})
    try:
        yield (await process.handshake()).target
    finally:
        await process.kill()


def test_an_adapter_that_runs_already_is_tested_but_not_launched(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def run() -> int | str | None:
        chosen = [word for id_ in ("L9-cookie", RULE, "R6-close") for word in ("--rule", id_)]
        async with _serving() as target:
            command = [*WITH_AGENT, *chosen, "--address", target]
            return await asyncio.to_thread(run_command, command)

    assert asyncio.run(run()) == 0
    told = capsys.readouterr().out
    assert "not run  L9-cookie" in told
    assert told.endswith("3 rules: 2 passed, 1 not run\n")


def test_settings_and_a_witness_come_from_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings, witness = tmp_path / "settings.json", tmp_path / "witness.jsonl"
    witness.write_text("")
    settings.write_text('{"retries": "many"}')
    command = [*WITH_AGENT[:-1], str(witness), "--settings", f"@{settings}", "--rule", RULE, "--", *ADAPTER]
    assert run_command(command) == 1
    assert "settings.retries" in capsys.readouterr().out
