"""A rule of the kit, and what came of it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mimic_plugin_sdk.testing._bench import Bench


class Outcome(Enum):
    """What came of a rule."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"
    """The manifest does not declare the ability."""
    NOT_RUN = "not run"
    """The kit was not given what the rule needs, such as an agent that it may kill."""
    KNOWN = "known"
    """Failed, as the list of known failures says."""
    FIXED = "fixed"
    """Passed, though the list of known failures has it: the list is out of date, which fails too."""

    @property
    def fails(self) -> bool:
        """Whether the run fails by it."""
        return self in (Outcome.FAILED, Outcome.FIXED)


class BrokenError(Exception):
    """The adapter breaks the rule."""

    def __init__(self, expected: str, seen: str) -> None:
        super().__init__(f"expected {expected}; saw {seen}")


class NotDeclaredError(Exception):
    """The manifest does not declare what the rule is about."""


class NotGivenError(Exception):
    """The kit was not given what the rule needs."""


Check = Callable[["Bench"], Awaitable[str | None]]


@dataclass(frozen=True)
class Rule:
    """One rule of the contract."""

    id: str
    """Stable; listed in known failures and used as a test's id."""
    title: str
    """What has to hold, in a line."""
    check: Check
    """Runs it. Returns a note for people, or None; raises one of this module's errors."""
    last: bool
    """Whether it judges what all other rules left behind, and so runs after them."""


@dataclass(frozen=True)
class Result:
    """What came of one rule."""

    rule: Rule
    outcome: Outcome
    detail: str
    """One line: what was expected and seen, why it was skipped, or a note. Empty: nothing to add."""


RULES: list[Rule] = []
"""Every rule, in the order of the report; filled by importing `mimic_plugin_sdk.testing._rules`."""


def rule(id: str, title: str, *, last: bool = False) -> Callable[[Check], Check]:
    """Registers a rule."""

    def register(check: Check) -> Check:
        RULES.append(Rule(id=id, title=title, check=check, last=last))
        return check

    return register
