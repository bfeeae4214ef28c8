"""The `mimic` command as people run it, in a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.mimic import MIMIC, MimicServer, environment, mimic_server
from tests.support.processes import ROOT

ECHO = {"MIMIC_ADAPTER_PATH": str(ROOT / "examples" / "echo_adapter")}

PLAN = """
agent: {{name: Echo, description: repeats what it hears}}
channel: {{name: {channel}}}
personas:
- name: Maya
  goals: [Find out where order 10482 is, Find out when the shop is open]
evaluations:
- name: check
  metric: {metric}
  method: {method}
  regex: {regex}
  pass_criteria: {{pass: "{criteria}"}}
max_turns: 4
seed: 1
"""


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    status: int
    out: str
    err: str


async def mimic(*words: str, data_dir: Path, extra: dict[str, str] | None = None) -> Done:
    """Runs a command to its end."""
    process = await asyncio.create_subprocess_exec(
        *MIMIC, "--data-dir", str(data_dir), *words,
        cwd=ROOT, env=environment({**ECHO, **(extra or {})}), stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    assert process.returncode is not None
    assert b"Traceback" not in err
    return Done(process.returncode, out.decode(), err.decode())


def plan(folder: Path, **fields: str) -> str:
    """A plan file."""
    path = folder / "plan.yaml"
    wanted = {
        "channel": "echo",
        "metric": "count",
        "method": "regex_match",
        "regex": "never",
        "criteria": "== 0",
    }
    path.write_text(PLAN.format(**{**wanted, **fields}))
    return str(path)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[MimicServer]:
    async with mimic_server(tmp_path / "served", ECHO) as running:
        yield running


async def test_run_exits_0_when_all_passed_and_1_when_an_evaluation_failed(tmp_path: Path) -> None:
    passed = await mimic("run", plan(tmp_path), data_dir=tmp_path / "data")
    assert passed.status == 0, passed.err
    assert "PASSED  1 session: 1 completed" in passed.out
    failed = await mimic("run", plan(tmp_path, regex="order"), data_dir=tmp_path / "data")
    assert failed.status == 1, failed.err
    assert "FAIL" in failed.out
    assert "“" in failed.out, "a failure comes with a quote"


async def test_run_exits_2_for_a_wrong_plan_before_anything_starts(tmp_path: Path) -> None:
    done = await mimic("run", plan(tmp_path, criteria="about 3"), data_dir=tmp_path / "data")
    assert done.status == 2
    assert "pass_criteria.pass" in done.err
    assert done.err.count("\n") == 1


async def test_run_exits_3_when_nothing_could_be_judged(tmp_path: Path) -> None:
    broken = plan(tmp_path, method="custom_script", regex='""\n  script: "def evaluate(t): return 1 // 0"')
    done = await mimic("run", broken, data_dir=tmp_path / "data")
    assert done.status == 3, done.out + done.err
    assert "ERROR" in done.out


async def test_run_exits_4_when_no_adapter_starts(tmp_path: Path) -> None:
    folder = tmp_path / "adapters"
    folder.mkdir()
    adapter = folder / "mimic-adapter-broken"
    adapter.write_text("#!/bin/sh\necho I am broken >&2\nexit 3\n")
    adapter.chmod(0o755)
    done = await mimic(
        "run",
        plan(tmp_path, channel="broken"),
        data_dir=tmp_path / "data",
        extra={"MIMIC_ADAPTER_PATH": str(folder)},
    )
    assert done.status == 4, done.out + done.err
    assert "I am broken" in done.err


async def test_a_report_as_json_is_json_alone(tmp_path: Path) -> None:
    done = await mimic("run", plan(tmp_path), "--json", "--repeats", "3", data_dir=tmp_path / "data")
    report = json.loads(done.out)
    assert report["run"]["sessions_total"] == 3
    assert report["evaluations"][0]["passed"] == 3


async def test_a_plan_runs_on_the_server_that_is_there(tmp_path: Path, server: MimicServer) -> None:
    done = await mimic("run", plan(tmp_path), data_dir=server.folder)
    assert done.status == 0, done.err
    listed = await mimic("runs", "list", "-o", "json", data_dir=server.folder)
    assert [run["name"] for run in json.loads(listed.out)["runs"]] == ["plan"]
    again = await mimic("run", plan(tmp_path), data_dir=server.folder)
    assert again.status == 0
    agents = json.loads((await mimic("agents", "list", "-o", "json", data_dir=server.folder)).out)["agents"]
    assert len(agents) == 1, "the same plan finds the agent that it made"


async def test_calls_print_tables_json_and_yaml(tmp_path: Path, server: MimicServer) -> None:
    made = await mimic("agents", "create", "--name", "Bot", "-o", "json", data_dir=server.folder)
    agent_id = json.loads(made.out)["agent"]["id"]
    assert agent_id in (await mimic("agents", "list", data_dir=server.folder)).out
    assert "name: Bot" in (await mimic("agents", "get", agent_id, data_dir=server.folder)).out
    assert "  name: Bot" in (await mimic("agents", "get", agent_id, "-o", "yaml", data_dir=server.folder)).out
    body = json.dumps({"persona": {"agent_id": agent_id, "name": "M", "goals": ["a", "b"]}})
    created = await mimic(
        "personas", "create", "--json", body, "--age", "50", "-o", "json", data_dir=server.folder
    )
    assert json.loads(created.out)["persona"]["age"] == 50


@pytest.mark.parametrize(
    "words,status,message",
    [
        (["agents", "create"], 2, "agent.name"),
        (["agents", "get", "nonsense"], 2, "agent_id"),
        (["agents", "get", "0198f2c5-0000-7000-8000-000000000000"], 1, "does not exist (NOT_FOUND)"),
        (["agents", "create", "--json", "[]"], 2, "JSON object"),
        (["agents", "create", "--json", "{"], 2, "not JSON"),
        (["agents", "create", "--json", '{"nope": 1}'], 2, "nope"),
        (["--api-key", "mimic_wrong", "agents", "list"], 1, "UNAUTHENTICATED"),
    ],
)
async def test_errors_are_one_line_with_the_reason(
    server: MimicServer, words: list[str], status: int, message: str
) -> None:
    done = await mimic(*words, data_dir=server.folder)
    assert done.status == status, done.err
    assert message in done.err.splitlines()[-1]


async def test_no_server_is_told_with_what_to_do(tmp_path: Path) -> None:
    done = await mimic("agents", "list", data_dir=tmp_path)
    assert done.status == 4
    assert "mimic serve" in done.err
    gone = await mimic("--address", "127.0.0.1:1", "agents", "list", data_dir=tmp_path)
    assert gone.status == 4
    assert "127.0.0.1:1" in gone.err


async def test_a_second_server_on_the_same_directory_is_refused(server: MimicServer) -> None:
    done = await mimic("serve", "--port", "0", data_dir=server.folder)
    assert done.status == 4
    assert str(server.folder) in done.err


async def test_completion_completes_commands_and_enums(tmp_path: Path) -> None:
    script = await mimic("completion", "bash", data_dir=tmp_path)
    assert "_MIMIC_COMPLETE" in script.out
    words = {
        "_MIMIC_COMPLETE": "bash_complete",
        "COMP_WORDS": "mimic evaluations create --metric ",
        "COMP_CWORD": "4",
    }
    process = await asyncio.create_subprocess_exec(
        *MIMIC, cwd=ROOT, env={**os.environ, **words}, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    assert b"latency_ms" in out


async def test_a_key_is_in_a_file_that_only_its_owner_reads(server: MimicServer) -> None:
    assert (server.folder / "admin.key").stat().st_mode & 0o777 == 0o600
    assert server.folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.timeout(180)
async def test_the_demo_finds_the_faults_that_were_planted(tmp_path: Path) -> None:
    done = await mimic("demo", data_dir=tmp_path / "data")
    assert done.status == 0, done.err
    assert "6 sessions: 6 completed" in done.out
    assert "played by scripted" in done.out
    assert done.out.count("FAIL") >= 3
    assert str(tmp_path / "data") in done.out
