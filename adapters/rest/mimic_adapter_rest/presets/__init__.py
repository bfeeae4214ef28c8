"""The shapes whose settings are known: a file of settings for each, below a connection's own."""

import tomllib
from importlib.resources import files
from typing import Any

from mimic_adapter_rest.settings import Preset, RestSettings


def with_preset(settings: RestSettings) -> RestSettings:
    """Fill in what the preset says, where the settings themselves say nothing.

    Objects are filled in field by field; an object that is set to null stays null.

    Args:
        settings: A connection's settings.
    """
    said = settings.model_dump(exclude_unset=True)
    return RestSettings.model_validate(_over(load(settings.preset), said))


def load(preset: Preset) -> dict[str, Any]:
    """Read a preset's settings.

    Args:
        preset: Which.
    """
    return tomllib.loads(files(__name__).joinpath(f"{preset}.toml").read_text("utf-8"))


def _over(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for name, value in above.items():
        under = merged.get(name)
        if isinstance(under, dict) and isinstance(value, dict):
            merged[name] = _over(under, value)
        else:
            merged[name] = value
    return merged
