"""What a run says to people: a table of rules, and the list of known failures that it is read against."""

from collections import Counter
from collections.abc import Collection, Sequence

from mimic_plugin_sdk.testing._rule import Outcome, Result, Rule


def table(results: Sequence[Result]) -> str:
    """Lays results out, a line a rule, what was expected and seen below each failure; then the sums."""
    width = max((len(result.rule.id) for result in results), default=0)
    lines = []
    for result in results:
        short = result.outcome not in (Outcome.FAILED, Outcome.KNOWN, Outcome.FIXED)
        detail = f" ({_one_line(result.detail)})" if result.detail and short else ""
        lines.append(f"{result.outcome.value:<7}  {result.rule.id:<{width}}  {result.rule.title}{detail}")
        if result.detail and not short:
            lines.append(f"{'':<7}  {'':<{width}}  -> {_one_line(result.detail)}")
    sums = Counter(result.outcome for result in results)
    told = ", ".join(f"{sums[outcome]} {outcome.value}" for outcome in Outcome if sums[outcome])
    return "\n".join([*lines, "", f"{len(results)} rules: {told}"])


def _one_line(text: str) -> str:
    return " ".join(text.split())


def read_known_failures(text: str, rules: Sequence[Rule]) -> Collection[str]:
    """Reads a list of known failures: a rule's id on each line; what follows "#" says why.

    Raises:
        ValueError: A line names no rule.
    """
    known = {line.partition("#")[0].strip() for line in text.splitlines()} - {""}
    if unknown := known - {rule.id for rule in rules}:
        raise ValueError(f"no such rule: {', '.join(sorted(unknown))}")
    return known
