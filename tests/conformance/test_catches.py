"""For every rule there is an adapter that breaks it, and that the kit fails by this rule alone."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
from mimic_plugin_sdk.testing._rule import Outcome
from mimic_plugin_sdk.testing._rules import RULES
from mimic_plugin_sdk.testing._run import run

from tests.conformance.subjects import broken

BREAKAGES = [
    *(rule.id for rule in RULES),
    "C3-bad-settings:none",
    "C10-disconnect:remembers",
    "E1-shutdown:late",
    "E1-shutdown:serving",
    "E1-shutdown:socket",
    "E2-signals:term",
    "F1-too-long-text:fault",
    "L3-address:tcp",
    "L9-cookie:serves",
    "L9-cookie:silent",
    "O1-stdout-quiet:before",
    "O2-log-lines:timestamp",
    "O3-secrets-kept:raw",
    "O3-secrets-kept:status",
    "R1-error-info:absent",
    "R1-opened-first:twice",
    "R1-session-limit:none",
    "R5-other-epoch:lies",
    "R8-wire-times:backwards",
    "S3-manifest:changes",
]

# These launch adapters of their own, and so are run only where they are the ones to fail: it saves a minute.
COSTLY = ("L4", "L5", "L6", "L7", "L8", "L9", "C2", "C9", "C10", "R1-session", "R5-other", "F2", "F3", "E")

AT_ONCE = 8


def _intended(breakage: str) -> str:
    return breakage.partition(":")[0]


def _family(breakage: str) -> str:
    return breakage[:2] if breakage.startswith("R") else breakage[:1]


async def _mismatches(breakages: Sequence[str], folder: Path) -> list[str]:
    """Runs the kit on broken adapters, and returns where other rules failed than the intended one."""
    places = asyncio.Semaphore(AT_ONCE)

    async def mismatch(breakage: str) -> str:
        intended = _intended(breakage)
        rules = [rule for rule in RULES if rule.id == intended or not rule.id.startswith(COSTLY)]
        async with places:
            results = await run(broken(breakage, folder), rules)
        failed = {result.rule.id: result.detail for result in results if result.outcome is Outcome.FAILED}
        return "" if [*failed] == [intended] else f"{breakage} makes fail: {failed}"

    return [told for told in await asyncio.gather(*map(mismatch, breakages)) if told]


# One test a family, so that the waits for what a broken adapter never does pass together.
@pytest.mark.parametrize("family", sorted({_family(breakage) for breakage in BREAKAGES}))
def test_a_broken_rule_alone_fails(family: str, tmp_path: Path) -> None:
    breakages = [breakage for breakage in BREAKAGES if _family(breakage) == family]
    mismatches = asyncio.run(_mismatches(breakages, tmp_path))
    assert not mismatches, "\n".join(mismatches)
