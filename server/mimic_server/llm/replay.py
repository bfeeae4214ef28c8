"""Records a model's answers, and replays them without it: JSON Lines, one answer a line.

An answer is found by what was asked: the model's name, the task's name, and the prompt. Asked the same thing
several times, a model may answer differently; the answers are replayed in the order in which they were
recorded, and the last of them from then on.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mimic_server.domain.errors import InvalidInputError
from mimic_server.domain.messages import Usage
from mimic_server.domain.ports import A, Answer, LanguageModel, Task
from mimic_server.llm.faults import model_fault
from mimic_server.llm.scripted import SCRIPTED


class RecordingModel:
    """Answers as another model does, and appends each answer to a file."""

    def __init__(self, model: LanguageModel, file: Path) -> None:
        """Opens the file.

        Raises:
            InvalidInputError: It cannot be written.
        """
        self._model = model
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            self._file = file.open("a", encoding="utf-8")
        except OSError as error:
            raise InvalidInputError.of(
                "MIMIC_RECORD", f"{file} cannot be written: {error.strerror}"
            ) from None

    @property
    def name(self) -> str:
        return self._model.name

    @property
    def scripted(self) -> bool:
        return self._model.scripted

    async def answer(self, task: Task[A]) -> Answer[A]:
        key = key_of(self._model.name, task)
        answer = await self._model.answer(task)
        row = {
            "key": key,
            "model": self._model.name,
            "task": task.name,
            "value": answer.value.model_dump(mode="json", by_alias=True),
            "usage": asdict(answer.usage),
        }
        self._file.write(json.dumps(row, ensure_ascii=False) + "\n")
        self._file.flush()
        return answer

    async def close(self) -> None:
        self._file.close()
        await self._model.close()


class ReplayModel:
    """Answers from a file alone."""

    def __init__(self, file: Path, preferred: str = "") -> None:
        """Reads the file.

        Args:
            file: What a `RecordingModel` wrote. The model whose answers are replayed is the one it names.
            preferred: Which model's, where it holds several; otherwise the one recorded last.

        Raises:
            InvalidInputError: It cannot be read, or a line is not a recorded answer.
        """
        self._file = file
        models: list[str] = []
        self._answers: dict[str, list[tuple[Any, Usage]]] = defaultdict(list)
        try:
            lines = file.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidInputError.of("MIMIC_REPLAY", f"{file} cannot be read: {error}") from None
        for number, line in enumerate(lines, 1):
            try:
                row = json.loads(line)
                self._answers[row["key"]].append((row["value"], Usage(**row["usage"])))
                models.append(str(row["model"]))
            except (ValueError, KeyError, TypeError):
                raise InvalidInputError.of(
                    "MIMIC_REPLAY", f"line {number} of {file} is not a recorded answer"
                ) from None
        self._model = preferred if preferred in models or not models else models[-1]

    @property
    def name(self) -> str:
        return self._model

    @property
    def scripted(self) -> bool:
        return self._model == SCRIPTED

    async def answer(self, task: Task[A]) -> Answer[A]:
        # An answer that takes no time at all would let no other task run.
        await asyncio.sleep(0)
        found = self._answers.get(key_of(self._model, task))
        if not found:
            raise model_fault(
                "MODEL_UNAVAILABLE",
                f"{self._file} has no answer of {self._model} to this {task.name}",
                "Record it again: the persona, the agent's words or the prompts have changed",
            )
        value, usage = found[0] if len(found) == 1 else found.pop(0)
        try:
            return Answer(task.answer_type.model_validate(value), usage)
        except ValidationError:
            raise model_fault(
                "MODEL_OUT_OF_SCHEMA",
                f"the answer to this {task.name} in {self._file} does not fit its schema",
                "Record it again",
            ) from None

    async def close(self) -> None:
        """There is nothing to let go of."""


def key_of(model: str, task: Task[Any]) -> str:
    """What a recorded answer is found by."""
    prompt: Sequence[Any] = [(message.role, message.content) for message in task.messages()]
    asked = json.dumps((model, task.name, prompt), ensure_ascii=True).encode()
    return hashlib.sha256(asked).hexdigest()
