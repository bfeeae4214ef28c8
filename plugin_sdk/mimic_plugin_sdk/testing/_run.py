"""Runs rules on a bench, many at once."""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import timedelta

from mimic_plugin_sdk.testing import _rules
from mimic_plugin_sdk.testing._bench import Bench
from mimic_plugin_sdk.testing._rule import (
    BrokenError,
    NotDeclaredError,
    NotGivenError,
    Outcome,
    Result,
    Rule,
)
from mimic_plugin_sdk.testing._subject import Subject
from mimic_plugin_sdk.testing._wire import RefusedError

_RULE_LIMIT = timedelta(seconds=90)
_AT_ONCE = 8


async def run(
    subject: Subject, rules: Sequence[Rule] = _rules.RULES, known_failures: Collection[str] = ()
) -> Sequence[Result]:
    """Runs rules against an adapter, and returns what came of them, in their order.

    Args:
        subject: What to test.
        rules: Which rules. Those that judge what others left behind judge what these did.
        known_failures: Ids of rules that are expected to fail.
    """
    bench = Bench(subject)
    results: dict[str, Result] = {}
    places = asyncio.Semaphore(_AT_ONCE)

    async def judge(rule: Rule) -> None:
        async with places:
            results[rule.id] = await _judge(rule, bench)

    try:
        for last in (False, True):
            async with asyncio.TaskGroup() as group:
                for rule in rules:
                    if rule.last is last:
                        group.create_task(judge(rule))
    finally:
        await bench.close()
    return [_with_known(results[rule.id], known_failures) for rule in rules]


async def _judge(rule: Rule, bench: Bench) -> Result:
    try:
        async with asyncio.timeout(_RULE_LIMIT.total_seconds()):
            note = await rule.check(bench)
        return Result(rule, Outcome.PASSED, note or "")
    except NotDeclaredError as error:
        return Result(rule, Outcome.SKIPPED, str(error))
    except NotGivenError as error:
        return Result(rule, Outcome.NOT_RUN, str(error))
    except (BrokenError, RefusedError) as error:
        return Result(rule, Outcome.FAILED, str(error))
    except TimeoutError:
        return Result(rule, Outcome.FAILED, "expected an answer; saw none in time")
    except Exception as error:  # noqa: BLE001 - whatever an adapter brings about must not stop the report
        return Result(rule, Outcome.FAILED, f"{type(error).__name__}: {error}")


def _with_known(result: Result, known_failures: Collection[str]) -> Result:
    if result.rule.id not in known_failures:
        return result
    if result.outcome is Outcome.FAILED:
        return replace(result, outcome=Outcome.KNOWN)
    if result.outcome is Outcome.PASSED:
        detail = "passes: take it off the list of known failures"
        return replace(result, outcome=Outcome.FIXED, detail=detail)
    return result
