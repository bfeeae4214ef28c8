"""What people, plan files and language models may write: said once, checked everywhere by the same models.

Each model checks an RPC's request, a plan file and what a language model drafted alike; its errors become
field violations (`violations_of`).
"""

from __future__ import annotations

from typing import Annotated, Any, Self, TypeVar

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from mimic_server.domain.errors import InvalidInputError, Violation

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
"""A name for people: 1 to 200 characters."""

Line = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1000)]
"""One thing said in a sentence or two: 1 to 1,000 characters."""

LongText = Annotated[str, StringConstraints(max_length=20_000)]
"""Prose of at most 20,000 characters; may be empty."""

Tag = Annotated[
    str, StringConstraints(strip_whitespace=True, to_lower=True, pattern=r"^[a-z0-9][a-z0-9_.:-]{0,62}$")
]
"""A label for programs: lower case letters, digits and `_.:-`, at most 63 characters."""


class Spec(BaseModel):
    """Base of everything that is written by a caller: strict about names, immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=False, str_max_length=100_000)

    @classmethod
    def parse(cls, value: Any, at: str = "") -> Self:
        """Checks a value.

        Args:
            value: A mapping, or an instance of the model.
            at: Path of the value in the caller's request, put before each violation's field.

        Raises:
            InvalidInputError: One violation for each fault.
        """
        try:
            return cls.model_validate(value)
        except ValidationError as error:
            raise InvalidInputError(violations_of(error, at)) from None


SpecT = TypeVar("SpecT", bound=Spec)


def violations_of(error: ValidationError, at: str = "") -> list[Violation]:
    """A pydantic error as field violations; never repeats the value, which may be a secret."""
    found = []
    for item in error.errors(include_url=False, include_input=False, include_context=False):
        path = at
        for step in item["loc"]:
            path = f"{path}[{step}]" if isinstance(step, int) else f"{path}.{step}" if path else str(step)
        message = item["msg"].removeprefix("Value error, ")
        found.append(Violation(path, message[0].lower() + message[1:] if message else "is not valid"))
    return found
