"""Violations, said in the words of the caller's request."""

from __future__ import annotations

from mimic_server.domain.errors import InvalidInputError, Violation


def under(at: str, error: InvalidInputError) -> InvalidInputError:
    """The same faults of something that is a part of the request.

    Args:
        at: Path of the part, such as `connections[1]`.
        error: Faults of the part, with paths from its own root.
    """
    return InvalidInputError(
        [Violation(f"{at}.{v.field}" if v.field else at, v.description) for v in error.violations],
        error.reason,
    )
