"""One line in an adapter's tests makes each rule of the contract a pytest test.

test_conformance = conformance(command=[sys.executable, "-m", "mimic_adapter_rest"], ...)
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from mimic_plugin_sdk.testing._rule import RULES, Rule
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

    The arguments are the fields of `Subject`. Without `settings` they are what the agent told of itself.
    `known_failures` names a file of rule ids that are expected to fail.
    """
    Subject(
        command=command,
        address=address,
        agent=agent,
        settings=settings if settings is not None else (lambda running: running.info) if agent else {},
        bad_settings=bad_settings,
        talkative=talkative,
        witness=witness,
        mode=mode,
        env=env or {},
        answer_within=answer_within,
    )

    @pytest.mark.parametrize("rule", [pytest.param(rule, id=rule.id) for rule in RULES])
    def test_conformance(rule: Rule) -> None:
        pytest.skip("the kit is being built")

    return test_conformance
