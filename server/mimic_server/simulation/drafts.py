"""What is asked of the one who drafts personas and evaluations for an agent.

Drafts are the domain's own specs, checked by the same models as what a person writes; what is wrong with
them is told to the model once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, field_validator

from mimic_server.domain.agents import AgentSpec
from mimic_server.domain.bootstraps import BootstrapOptions
from mimic_server.domain.errors import InvalidInputError
from mimic_server.domain.evaluations import EvaluationSpec
from mimic_server.domain.personas import PersonaSpec
from mimic_server.domain.ports import ChatMessage
from mimic_server.domain.specs import Spec
from mimic_server.evaluation.compile import compile_evaluation
from mimic_server.simulation import draft_prompts


@dataclass(frozen=True, slots=True)
class PersonaDraftTask:
    """Asks for one of several personas. Each index has its own angle, so they may be drafted at once."""

    agent: AgentSpec
    options: BootstrapOptions
    index: int
    """Which of `options.personas`: 0, 1, 2 ..."""
    drafted_names: tuple[str, ...] = ()
    """Names that are taken: the agent's personas so far, and earlier drafts."""

    @property
    def name(self) -> str:
        return "persona_draft"

    @property
    def answer_type(self) -> type[PersonaSpec]:
        return PersonaSpec

    def messages(self) -> Sequence[ChatMessage]:
        return [
            ChatMessage("system", draft_prompts.PERSONA),
            ChatMessage(
                "user",
                f"{draft_prompts.agent(self.agent, self.options.instructions)}\n\n"
                f"{draft_prompts.which_persona(self.index, self.options.personas, self.drafted_names)}",
            ),
        ]


class EvaluationDrafts(Spec):
    """Evaluations for an agent, each of which can be run."""

    evaluations: Annotated[tuple[EvaluationSpec, ...], Field(min_length=1, max_length=50)]

    @field_validator("evaluations", mode="after")
    @classmethod
    def _check(cls, evaluations: tuple[EvaluationSpec, ...]) -> tuple[EvaluationSpec, ...]:
        problems = []
        for index, spec in enumerate(evaluations):
            try:
                compile_evaluation(spec)
            except InvalidInputError as error:
                problems += [f"[{index}].{v.field}: {v.description}" for v in error.violations]
        names = [spec.name.casefold() for spec in evaluations]
        problems += [
            f"[{index}].name: two have it" for index, name in enumerate(names) if name in names[:index]
        ]
        if problems:
            raise ValueError("; ".join(problems))
        return evaluations


@dataclass(frozen=True, slots=True)
class EvaluationDraftsTask:
    """Asks for an agent's evaluations, all in one call."""

    agent: AgentSpec
    options: BootstrapOptions
    drafted_names: tuple[str, ...] = ()
    """Names that are taken: the agent's evaluations so far."""

    @property
    def name(self) -> str:
        return "evaluation_drafts"

    @property
    def answer_type(self) -> type[EvaluationDrafts]:
        return EvaluationDrafts

    def messages(self) -> Sequence[ChatMessage]:
        return [
            ChatMessage("system", draft_prompts.EVALUATIONS),
            ChatMessage(
                "user",
                f"{draft_prompts.agent(self.agent, self.options.instructions)}\n\n"
                f"{draft_prompts.which_evaluations(self.options.evaluations, self.drafted_names)}",
            ),
        ]
