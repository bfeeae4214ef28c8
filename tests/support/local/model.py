"""A language model that says what it is told to."""

from collections.abc import Callable, Sequence
from typing import Any

from mimic_server.domain.messages import Usage
from mimic_server.domain.ports import Answer, Task
from mimic_server.simulation.tasks import PersonaTurn


def says(*texts: str, **more: Any) -> PersonaTurn:
    """A turn of these messages."""
    return PersonaTurn(messages=texts, **more)


def stops(*texts: str, reason: str = "goals_reached", condition: str | None = None) -> PersonaTurn:
    """A turn that ends the conversation."""
    return PersonaTurn.model_validate(
        {
            "messages": texts,
            "decision": "stop",
            "stop_reason": reason,
            "stop_condition": condition,
            "reasoning": "it is done",
        }
    )


class ListedModel:
    """Implements `LanguageModel` from a list of answers; an exception in it is raised."""

    name = "listed"
    scripted = True

    def __init__(self, answers: Sequence[Any] | Callable[[Any], Any]) -> None:
        self._answers = answers if callable(answers) else list(answers)
        self.tasks: list[Any] = []

    async def answer(self, task: Task[Any]) -> Answer[Any]:
        """The next answer."""
        self.tasks.append(task)
        answer = self._answers(task) if callable(self._answers) else self._answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return Answer(answer, Usage(100, 10, 0, 1))

    async def close(self) -> None:
        """Nothing to let go of."""
