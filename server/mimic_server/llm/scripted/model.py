"""The scripted model itself: which script answers which task."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from mimic_server.domain.errors import FaultError
from mimic_server.domain.faults import Fault, FaultSource
from mimic_server.domain.messages import Usage
from mimic_server.domain.ports import A, Answer, Task
from mimic_server.evaluation.tasks import JudgementTask, SentimentTask
from mimic_server.llm.scripted.evaluation_drafts import draft_evaluations
from mimic_server.llm.scripted.judge import judge, score
from mimic_server.llm.scripted.persona import Troupe
from mimic_server.llm.scripted.persona_drafts import draft_persona
from mimic_server.simulation.drafts import EvaluationDraftsTask, PersonaDraftTask
from mimic_server.simulation.tasks import PersonaTurnTask

SCRIPTED = "scripted"
"""The scripted model's name."""
_FREE = Usage()


class ScriptedModel:
    """Answers by scripts: the same answer for the same task."""

    def __init__(self) -> None:
        self._troupe = Troupe()

    @property
    def name(self) -> str:
        return SCRIPTED

    @property
    def scripted(self) -> bool:
        return True

    async def answer(self, task: Task[A]) -> Answer[A]:
        value = self._value(task)
        if not isinstance(value, task.answer_type):
            raise FaultError(
                Fault(
                    FaultSource.SIMULATOR,
                    "MODEL_REJECTED_REQUEST",
                    f"the scripted model has no script for the task {task.name}",
                    "Set OPENAI_API_KEY to use a language model",
                )
            )
        return Answer(value, _FREE)

    async def close(self) -> None:
        """There is nothing to let go of."""

    def _value(self, task: Task[Any]) -> BaseModel | None:
        match task:
            case PersonaTurnTask():
                return self._troupe.turn(task)
            case JudgementTask():
                return judge(task)
            case SentimentTask():
                return score(task)
            case PersonaDraftTask():
                return draft_persona(task)
            case EvaluationDraftsTask():
                return draft_evaluations(task)
            case _:
                return None
