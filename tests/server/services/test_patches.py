from __future__ import annotations

import pytest
from mimic_server.domain.errors import AlreadyExistsError, ConflictError, InvalidInputError
from mimic_server.domain.evaluations import EvaluationSpec
from mimic_server.domain.personas import PersonaSpec, TypingStyle
from mimic_server.services.patches import Patch
from mimic_server.services.repeats import once, uncontended

ADA = PersonaSpec(name="Ada", age=70, goals=("g",), typing_style=TypingStyle(emoji=True, typo_rate=0.5))


def test_only_named_fields_change() -> None:
    assert Patch(("name",), {"name": "Bob", "age": 1}).apply(ADA, "persona") == ADA.model_copy(
        update={"name": "Bob"}
    )
    assert Patch().apply(ADA, "persona") == ADA


def test_a_named_field_without_a_value_goes_back_to_its_default() -> None:
    changed = Patch(("age", "typing_style.typo_rate")).apply(ADA, "persona")
    assert (changed.age, changed.typing_style) == (35, TypingStyle(emoji=True))
    with pytest.raises(InvalidInputError) as error:
        Patch(("name",)).apply(ADA, "persona")
    assert [v.field for v in error.value.violations] == ["persona.name"]


def test_a_part_is_changed_after_the_whole() -> None:
    values = {"typing_style": {"typo_rate": 0.1, "lowercase": True}}
    for paths in (("typing_style", "typing_style.typo_rate"), ("typing_style.typo_rate", "typing_style")):
        style = Patch(tuple(sorted(paths)), values).apply(ADA, "persona").typing_style
        assert style == TypingStyle(typo_rate=0.1, lowercase=True)


def test_a_word_that_python_reserves_is_a_field_like_any_other() -> None:
    spec = EvaluationSpec.parse(
        {"name": "n", "metric": "count", "method": "regex_match", "pass_criteria": {"pass": "== 0"}}
    )
    changed = Patch(("pass_criteria.pass",), {"pass_criteria": {"pass": "== 1"}}).apply(spec, "evaluation")
    assert changed.pass_criteria.pass_ == "== 1"


def test_an_etag_names_one_state() -> None:
    Patch().check(7)
    Patch(etag=7).check(7)
    with pytest.raises(ConflictError):
        Patch(etag=6).check(7)


async def test_a_change_is_tried_again_unless_the_caller_named_the_state() -> None:
    tries = []

    async def change() -> int:
        tries.append(1)
        if len(tries) < 3:
            raise ConflictError("CHANGED", "changed")
        return len(tries)

    with pytest.raises(ConflictError):
        await uncontended(change, named_etag=True)
    assert await uncontended(change) == 3


async def test_what_never_settles_is_told() -> None:
    tries = []

    async def change() -> None:
        tries.append(1)
        raise ConflictError("CHANGED", "changed")

    with pytest.raises(ConflictError):
        await uncontended(change)
    assert len(tries) == 10


async def test_what_is_there_already_is_looked_at_once_more() -> None:
    tries = []

    async def create() -> None:
        tries.append(1)
        raise AlreadyExistsError("THERE", "there")

    with pytest.raises(AlreadyExistsError):
        await once(create)
    assert len(tries) == 2
