"""The shapes whose settings are known: a file of settings for each, below those that a connection has."""

import tomllib
from importlib.resources import files
from typing import Any

from mimic_adapter_websocket.settings import Preset, WebSocketSettings


def with_preset(settings: WebSocketSettings) -> WebSocketSettings:
    """Fill in what the preset says, where the settings themselves say nothing.

    Objects are filled in field by field; an object that is set to null stays null.

    Args:
        settings: A connection's settings.
    """
    said = settings.model_dump(exclude_unset=True)
    return WebSocketSettings.model_validate(_over(load(settings.preset), said))


def load(preset: Preset) -> dict[str, Any]:
    """Read a preset's settings, those of the preset that it stands on included.

    Args:
        preset: Which.
    """
    said: dict[str, Any] = tomllib.loads(files(__name__).joinpath(f"{preset.value}.toml").read_text("utf-8"))
    if "stands_on" not in said:
        return said
    below = load(Preset(said.pop("stands_on")))
    return _over(below, said)


def _over(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for name, value in above.items():
        under = merged.get(name)
        if isinstance(under, dict) and isinstance(value, dict):
            merged[name] = _over(under, value)
        else:
            merged[name] = value
    return merged
