"""Recorded answers, and what is said when there is none."""

from __future__ import annotations

from pathlib import Path

import pytest
from mimic_server.domain.errors import FaultError, InvalidInputError
from mimic_server.domain.evaluations import Metric
from mimic_server.evaluation.tasks import JudgementTask
from mimic_server.llm.factory import build_model
from mimic_server.llm.openai import OpenAIModel
from mimic_server.llm.replay import RecordingModel
from mimic_server.llm.scripted import ScriptedModel
from mimic_server.simulation.tasks import PersonaTurnTask

from tests.server.llm.tasks import dialogue, evaluations_task, persona_task, turn_task
from tests.server.transcripts import transcript

TASKS = (
    turn_task(),
    turn_task("Hi", "Hello!"),
    persona_task(),
    evaluations_task(),
    JudgementTask("Polite?", Metric.BOOLEAN, transcript("Hi", "Hello!").lines),
)


async def test_replays_what_was_recorded(tmp_path: Path) -> None:
    file = tmp_path / "new" / "answers.jsonl"
    recording = build_model(openai=False, record=file)
    answers = [await recording.answer(task) for task in TASKS]
    await recording.close()
    replay = build_model(openai=False, replay=file)
    assert (replay.name, replay.scripted) == ("scripted", True)
    assert [await replay.answer(task) for task in TASKS] == answers
    assert [await replay.answer(task) for task in TASKS] == answers
    await replay.close()


async def test_replays_the_answers_to_one_question_in_their_order(tmp_path: Path) -> None:
    file = tmp_path / "answers.jsonl"
    recording = build_model(openai=False, record=file)
    asked = [PersonaTurnTask(dialogue(), 1, 20, seed) for seed in range(5)]
    said = [(await recording.answer(task)).value.messages for task in asked]
    await recording.close()
    replay = build_model(openai=False, replay=file)
    assert [(await replay.answer(asked[0])).value.messages for _ in range(7)] == [*said, said[-1], said[-1]]


async def test_a_file_is_appended_to(tmp_path: Path) -> None:
    file = tmp_path / "answers.jsonl"
    for task in TASKS:
        recording = build_model(openai=False, record=file)
        await recording.answer(task)
        await recording.close()
    assert len(file.read_text().splitlines()) == len(TASKS)


async def test_a_question_that_was_not_recorded_is_told(tmp_path: Path) -> None:
    file = tmp_path / "answers.jsonl"
    recording = build_model(openai=False, record=file)
    await recording.answer(turn_task())
    await recording.close()
    replay = build_model(openai=False, replay=file)
    with pytest.raises(FaultError, match=r"has no answer.*Record it again") as caught:
        await replay.answer(turn_task("Hi", "Hello!"))
    assert (caught.value.fault.source, caught.value.reason) == ("SIMULATOR", "MODEL_UNAVAILABLE")


class Recorded(ScriptedModel):
    """Stands for a model that needed a key when it was recorded."""

    name = "gpt-4o-2024-08-06"
    scripted = False


async def test_a_recording_names_its_model_so_that_no_key_is_needed(tmp_path: Path) -> None:
    file = tmp_path / "answers.jsonl"
    recording = RecordingModel(Recorded(), file)
    answers = [await recording.answer(task) for task in TASKS]
    await recording.close()
    for openai in (False, True):
        replay = build_model(openai=openai, model="gpt-5", replay=file)
        assert (replay.name, replay.scripted) == ("gpt-4o-2024-08-06", False)
        assert [await replay.answer(task) for task in TASKS] == answers


async def test_of_several_recorded_models_the_wanted_one_is_replayed(tmp_path: Path) -> None:
    file = tmp_path / "answers.jsonl"
    for model in (Recorded(), ScriptedModel()):
        recording = RecordingModel(model, file)
        await recording.answer(turn_task())
        await recording.close()
    assert build_model(openai=True, model="gpt-4o-2024-08-06", replay=file).name == "gpt-4o-2024-08-06"
    assert build_model(openai=False, replay=file).name == "scripted"


async def test_an_answer_of_an_older_schema_is_told(tmp_path: Path) -> None:
    file = tmp_path / "answers.jsonl"
    recording = build_model(openai=False, record=file)
    await recording.answer(turn_task())
    await recording.close()
    file.write_text(file.read_text().replace('"messages"', '"texts"'))
    with pytest.raises(FaultError) as caught:
        await build_model(openai=False, replay=file).answer(turn_task())
    assert caught.value.reason == "MODEL_OUT_OF_SCHEMA"


@pytest.mark.parametrize("text", ["{}", "[1]", "nonsense", '{"key": "k", "value": {}, "usage": {"x": 1}}'])
def test_a_broken_file_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "answers.jsonl"
    file.write_text(text + "\n")
    with pytest.raises(InvalidInputError, match="line 1"):
        build_model(openai=False, replay=file)
    with pytest.raises(InvalidInputError, match="cannot be read"):
        build_model(openai=False, replay=tmp_path / "missing")
    with pytest.raises(InvalidInputError, match="cannot be written"):
        build_model(openai=False, record=tmp_path)


async def test_chooses_the_model() -> None:
    assert isinstance(build_model(openai=False), ScriptedModel)
    model = build_model(openai=True, api_key="k", model="m")
    assert isinstance(model, OpenAIModel)
    assert (model.name, model.scripted) == ("m", False)
    await model.close()
