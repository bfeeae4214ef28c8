"""Chooses the language model that the settings ask for."""

from __future__ import annotations

from pathlib import Path

from mimic_server.domain.ports import LanguageModel
from mimic_server.llm.openai import OpenAIModel
from mimic_server.llm.replay import RecordingModel, ReplayModel
from mimic_server.llm.scripted import SCRIPTED, ScriptedModel


def build_model(
    *,
    openai: bool,
    api_key: str = "",
    base_url: str = "",
    model: str = "gpt-4o-2024-08-06",
    timeout_seconds: float = 60.0,
    retries: int = 4,
    concurrency: int = 1000,
    record: Path | None = None,
    replay: Path | None = None,
) -> LanguageModel:
    """Makes a model; no connection is made yet.

    Args:
        openai: Whether an OpenAI-compatible model is asked; otherwise the scripted one.
        api_key: Its key. Empty: none.
        base_url: Where it is served. Empty: OpenAI itself.
        model: Its name; also whose answers are replayed from a recording of several.
        timeout_seconds: For one try of a call.
        retries: Further tries.
        concurrency: Calls at once.
        record: File that answers are recorded in. None: nowhere.
        replay: File that answers are replayed from; then no model is asked, and no key needed.

    Raises:
        InvalidInputError: A file cannot be read or written.
    """
    chosen: LanguageModel
    if replay is not None:
        chosen = ReplayModel(replay, model if openai else SCRIPTED)
    elif openai:
        chosen = OpenAIModel(
            model,
            api_key=api_key,
            base_url=base_url,
            timeout_seconds=timeout_seconds,
            retries=retries,
            concurrency=concurrency,
        )
    else:
        chosen = ScriptedModel()
    return chosen if record is None else RecordingModel(chosen, record)
