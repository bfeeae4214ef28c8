"""Faults on demand: a script of them, consumed in order, or by chance."""

import dataclasses
import random
from collections.abc import Sequence
from typing import Any

KINDS = frozenset(
    {
        "429",
        "quota",
        "500",
        "502",
        "503",
        "504",
        "hang",
        "reset",
        "refusal",
        "truncated",
        "malformed",
        "out_of_schema",
        "content_filter",
        "answer",
        "slow",
        "ok",
    }
)
"""What can go wrong.

`quota` is the 429 that waiting does not cure; `hang` never answers; `reset` breaks the connection within the
body; `answer` gives the content said with it; `slow` waits `seconds` and then answers; `ok` is a request left
alone, to hold a place in a script.
"""


@dataclasses.dataclass
class Fault:
    """One fault, for one or more requests."""

    kind: str
    """One of `KINDS`."""
    times: int | None = None
    """How many requests it takes; None means one without a rate, all with one; 0 means all."""
    rate: float | None = None
    """The share of requests it takes, 0 to 1; None means each until `times` is used up."""
    seed: int = 0
    """Makes the chance repeat."""
    schema: str | None = None
    """Only requests with this `response_format.json_schema.name`; None means any request."""
    skip: int = 0
    """How many matching requests go by first."""
    retry_after: float = 1.0
    """For `429`: the wait it asks for, in seconds."""
    seconds: float = 1.0
    """For `slow`: how long."""
    content: Any = None
    """For `answer`: the content; anything but a string is sent as JSON."""
    taken: int = 0
    """How many requests it took so far."""

    def __post_init__(self) -> None:
        """Checks the kind.

        Raises:
            ValueError: There is no such kind.
        """
        if self.kind not in KINDS:
            message = f"unknown fault {self.kind!r}; known: {', '.join(sorted(KINDS))}"
            raise ValueError(message)
        if self.times is None:
            self.times = 1 if self.rate is None else 0
        self._chance = random.Random(self.seed)

    def takes(self, schema: str | None) -> bool:
        """Decides about a request, and counts it.

        Args:
            schema: The name of the schema it asks for.
        """
        if (self.schema is not None and self.schema != schema) or (self.times and self.taken >= self.times):
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        if self.rate is not None and self._chance.random() >= self.rate:
            return False
        self.taken += 1
        return True


class Faults:
    """The faults in force. The first that takes a request has it."""

    def __init__(self, faults: Sequence[Fault] = ()) -> None:
        self._faults = list(faults)

    def next(self, schema: str | None) -> Fault | None:
        """Decides what happens to a request.

        Args:
            schema: The name of the schema it asks for; None if it asks for none.

        Returns:
            The fault, or None if it is answered well.
        """
        fault = next((fault for fault in self._faults if fault.takes(schema)), None)
        return None if fault is None or fault.kind == "ok" else fault

    def add(self, faults: Sequence[Fault]) -> None:
        """Puts faults behind those in force.

        Args:
            faults: The new ones.
        """
        self._faults += faults

    def clear(self) -> None:
        """Takes all back."""
        self._faults.clear()

    def state(self) -> list[dict[str, Any]]:
        """Those in force and what they did, as JSON."""
        return [dataclasses.asdict(fault) for fault in self._faults]


def parse_faults(value: Any) -> list[Fault]:
    """Reads faults from JSON.

    Args:
        value: One fault, or a list of them: objects with the fields of `Fault` but `taken`.

    Raises:
        ValueError: It is something else.
    """
    entries = value if isinstance(value, list) else [value]
    known = {field.name for field in dataclasses.fields(Fault)} - {"taken"}
    faults = []
    for entry in entries:
        if not isinstance(entry, dict) or "kind" not in entry or not set(entry) <= known:
            message = f"a fault is an object with 'kind' and any of {sorted(known - {'kind'})}, not {entry!r}"
            raise ValueError(message)
        faults.append(Fault(**{**entry, "kind": str(entry["kind"])}))
    return faults
