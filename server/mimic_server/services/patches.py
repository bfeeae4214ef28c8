"""Changes of single fields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mimic_server.domain.errors import ConflictError
from mimic_server.domain.specs import SpecT


@dataclass(frozen=True, slots=True)
class Patch:
    """Which fields of a thing become what."""

    paths: tuple[str, ...] = ()
    """The fields to change, dots between a field and its own field: `typing_style.emoji`."""
    values: Mapping[str, Any] = field(default_factory=dict)
    """New values, nested as the thing is. A field of `paths` that is not here goes back to its default."""
    etag: int | None = None
    """The state that is changed. None: whatever there is now."""

    def apply(self, spec: SpecT, at: str) -> SpecT:
        """The changed spec.

        Args:
            spec: As it is.
            at: Path of the thing in the caller's request.

        Raises:
            InvalidInputError: One violation for each fault of the changed spec.
        """
        changed = spec.model_dump(by_alias=True)
        for path in self.paths:
            _copy(path.split("."), self.values, changed)
        return type(spec).parse(changed, at)

    def check(self, etag: int) -> None:
        """Refuses the change of a state that the caller has not seen.

        Raises:
            ConflictError: The caller named another etag.
        """
        if self.etag not in {None, etag}:
            raise ConflictError(
                "ETAG_MISMATCH", "someone else changed it meanwhile: read it again, then repeat"
            )


def _copy(steps: list[str], source: Mapping[str, Any], target: dict[str, Any]) -> None:
    *parents, last = steps
    for step in parents:
        source = source.get(step) or {}
        target = target.setdefault(step, {})
    if last in source:
        target[last] = source[last]
    else:
        target.pop(last, None)
