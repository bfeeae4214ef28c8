"""`mimic-adapter-conformance [options] -- <command>`: tests an adapter from a shell."""

import argparse
import asyncio
import json
import os
import shlex
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from mimic_plugin_sdk.testing._agent import AgentProcess
from mimic_plugin_sdk.testing._report import read_known_failures, table
from mimic_plugin_sdk.testing._rule import Rule
from mimic_plugin_sdk.testing._rules import RULES
from mimic_plugin_sdk.testing._run import run
from mimic_plugin_sdk.testing._subject import Settings, Subject

_EPILOG = """\
The agent must answer each text at once with one message that contains the text. --agent-command starts one:
it prints on its first line a JSON object, which are the connection settings that reach it (--settings adds to
them). With --witness - it goes on to print {"text": ...} for each message that it receives.

Exit code: 0 all rules passed, were skipped or failed as known; 1 not so; 2 wrong command line.

  mimic-adapter-conformance --settings '{"url": "http://127.0.0.1:8000/chat"}' -- mimic-adapter-rest
"""


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the kit as the command line says, prints the table and exits."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    if arguments.list:
        sys.stdout.write("".join(f"{rule.id:<26}{rule.title}\n" for rule in RULES))
        sys.exit(0)
    try:
        subject = _subject(arguments)
        rules = _chosen(arguments.rule)
        known = (
            read_known_failures(_text(arguments.known_failures), RULES) if arguments.known_failures else ()
        )
    except (OSError, ValueError) as error:
        parser.error(str(error))
    # Adapters are killed on purpose; what gRPC's core says of their streams would spoil the table.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    results = asyncio.run(run(subject, rules, known))
    sys.stdout.write(table(results) + "\n")
    sys.exit(1 if any(result.outcome.fails for result in results) else 0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mimic-adapter-conformance",
        description="Shows whether an adapter, in any language, keeps Mimic's contract.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", nargs="*", help="starts the adapter; put it after --")
    parser.add_argument("--address", default="", help="test an adapter that runs already, at host:port")
    parser.add_argument("--settings", metavar="JSON|@FILE", help="connection settings that work")
    parser.add_argument("--bad-settings", metavar="JSON|@FILE", help="settings that must be refused")
    parser.add_argument("--mode", choices=("live", "emulator"), help="default: the manifest's first")
    parser.add_argument("--agent-command", metavar="COMMAND", help="starts the agent; the kit may kill it")
    parser.add_argument(
        "--agent-after-connect",
        action="store_true",
        help="start the agent after Connect, with the agent settings of its answer in its environment",
    )
    parser.add_argument(
        "--witness",
        metavar="FILE|-",
        help='JSON lines {"text": ...} of what the agent received; - its output',
    )
    parser.add_argument(
        "--talkative", metavar="TEXT", default="", help="makes the agent say {n} messages in a row"
    )
    parser.add_argument("--answer-within", metavar="SECONDS", type=float, default=10)
    parser.add_argument("--env", metavar="NAME=VALUE", action="append", default=[], help="for the adapter")
    parser.add_argument("--known-failures", metavar="FILE", help="ids of rules that are expected to fail")
    parser.add_argument(
        "--rule", metavar="ID", action="append", default=[], help="run this rule alone; repeatable"
    )
    parser.add_argument("--list", action="store_true", help="list the rules and exit")
    return parser


def _subject(arguments: argparse.Namespace) -> Subject:
    if bool(arguments.command) == bool(arguments.address):
        raise ValueError("give either a command after -- or --address")
    witness = arguments.witness
    agent = None
    if arguments.agent_command:
        agent = AgentProcess(
            shlex.split(arguments.agent_command),
            witness=witness == "-",
            after_connect=arguments.agent_after_connect,
        )
    elif witness == "-" or arguments.agent_after_connect:
        raise ValueError("--witness - and --agent-after-connect need --agent-command")
    given = _object(arguments.settings, "--settings") if arguments.settings else {}
    starts_first = agent is not None and not agent.after_connect
    env = dict(_pair(text) for text in arguments.env)
    return Subject(
        command=arguments.command,
        address=arguments.address,
        agent=agent,
        settings=(lambda running: {**running.info, **given}) if starts_first else given,
        bad_settings=_object(arguments.bad_settings, "--bad-settings") if arguments.bad_settings else None,
        talkative=arguments.talkative,
        witness=Path(witness) if witness not in (None, "-") else None,
        mode=arguments.mode,
        env=env,
        answer_within=timedelta(seconds=arguments.answer_within),
    )


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"--env {text}: expected NAME=VALUE")
    return name, value


def _text(path: str) -> str:
    return Path(path).read_text(encoding="utf-8")


def _object(given: str, option: str) -> Settings:
    value: Any = json.loads(_text(given[1:]) if given.startswith("@") else given)
    if not isinstance(value, dict):
        raise ValueError(f"{option}: expected a JSON object")  # noqa: TRY004 - reported as a wrong command line
    return value


def _chosen(ids: Sequence[str]) -> Sequence[Rule]:
    if unknown := set(ids) - {rule.id for rule in RULES}:
        raise ValueError(f"no such rule: {', '.join(sorted(unknown))}; --list names them")
    return [rule for rule in RULES if not ids or rule.id in ids]


if __name__ == "__main__":
    main()
