"""One line in an adapter's tests makes each rule of the contract a pytest test: `conformance`."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mimic_plugin_sdk.testing._report import read_known_failures
from mimic_plugin_sdk.testing._rule import Outcome, Result, Rule
from mimic_plugin_sdk.testing._rules import RULES
from mimic_plugin_sdk.testing._run import run
from mimic_plugin_sdk.testing._subject import Agent, Mode, RunningAgent, Settings, Subject


def conformance(
    *,
    command: Sequence[str] = (),
    address: str = "",
    agent: Agent | None = None,
    settings: Settings | Callable[[RunningAgent], Settings] | None = None,
    bad_settings: Settings | None = None,
    talkative: str = "",
    witness: Path | None = None,
    mode: Mode | None = None,
    env: Mapping[str, str] | None = None,
    answer_within: timedelta = timedelta(seconds=10),
    known_failures: Path | None = None,
) -> Callable[..., None]:
    """Makes the test function of an adapter, a case for each rule, its id the rule's.

    The first case that runs runs all the session's cases of the function, many at once; the others read off
    what came of theirs.

    Args:
        command: As all others but `known_failures`: see the field of `Subject`.
        address: See `Subject`.
        agent: See `Subject`.
        settings: See `Subject`. None: what the agent told of itself, or nothing.
        bad_settings: See `Subject`.
        talkative: See `Subject`.
        witness: See `Subject`.
        mode: See `Subject`.
        env: See `Subject`.
        answer_within: See `Subject`.
        known_failures: File of ids of rules that are expected to fail, one on a line, "#" before the reason.
            They become xfail, and fail once they pass.
    """
    starts_first = agent is not None and not agent.after_connect
    subject = Subject(
        command=command,
        address=address,
        agent=agent,
        settings=settings if settings is not None else (lambda one: one.info) if starts_first else {},
        bad_settings=bad_settings,
        talkative=talkative,
        witness=witness,
        mode=mode,
        env=env or {},
        answer_within=answer_within,
    )
    results: dict[str, Result] = {}

    @pytest.mark.parametrize("rule", [pytest.param(rule, id=rule.id) for rule in RULES])
    def test_conformance(rule: Rule, request: pytest.FixtureRequest) -> None:
        if rule.id not in results:
            known = read_known_failures(known_failures.read_text("utf-8"), RULES) if known_failures else ()
            for result in asyncio.run(run(subject, _selected(request, test_conformance), known)):
                results[result.rule.id] = result
        _tell(results[rule.id])

    return test_conformance


def _selected(request: pytest.FixtureRequest, function: Callable[..., None]) -> Sequence[Rule]:
    """The rules of all cases of the function that this session runs."""
    items: Sequence[Any] = request.session.items
    return [item.callspec.params["rule"] for item in items if getattr(item, "function", None) is function]


def _tell(result: Result) -> None:
    match result.outcome:
        case Outcome.SKIPPED:
            pytest.skip(result.detail)
        case Outcome.NOT_RUN:
            pytest.skip(f"not run: {result.detail}")
        case Outcome.KNOWN:
            pytest.xfail(result.detail)
        case Outcome.FAILED | Outcome.FIXED:
            pytest.fail(f"{result.rule.title}: {result.detail}", pytrace=False)
        case Outcome.PASSED:
            pass
