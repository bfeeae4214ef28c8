"""Checks what pydantic cannot: templates and paths, all of them before any fault is told."""

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from jinja2.sandbox import ImmutableSandboxedEnvironment
from mimic_plugin_sdk import SettingsError, SettingsViolation

from mimic_adapter_websocket.formats import FORMATS, UnreadableError
from mimic_adapter_websocket.paths import Path, PathError
from mimic_adapter_websocket.settings import WebSocketSettings
from mimic_adapter_websocket.templates import JSON, PLAIN, Filled, TemplateFaultError

_AWKWARD = 'He said "hi" \\ and\nleft {{ it }}'
_ID = "00000000-0000-4000-8000-000000000000"
_NOT_TRIED = frozenset({"frame"})
"""Values that nobody can make up."""


class Checking:
    """Collects the faults of some settings."""

    def __init__(self, settings: WebSocketSettings) -> None:
        """Begin.

        Args:
            settings: The settings, those of the preset included.
        """
        self._violations: list[SettingsViolation] = []
        self._format = FORMATS[settings.format]
        self._is_text = settings.format == "text"
        self._names: frozenset[str] = frozenset()
        saved = [name for frame in settings.frames.values() for name in frame.remember]
        own = sample_values(settings, {}, first=True)
        self._samples: Sequence[Mapping[str, Any]] = [
            {**settings.variables, **sample_values(settings, dict.fromkeys(saved, _AWKWARD), first=first)}
            for first in (True, False)
        ]
        self._known: Collection[str] = self._samples[0].keys()
        for name in settings.variables:
            if name in own:
                self.note(f"variables.{name}", "is a name that templates have already")

    @property
    def names(self) -> frozenset[str]:
        """The names of values that the templates checked so far ask for."""
        return self._names

    def note(self, field: str, description: str) -> None:
        """Note a fault.

        Args:
            field: Path inside the settings.
            description: One line: what is wrong.
        """
        self._violations.append(SettingsViolation(field, description))

    def template(self, field: str, source: str, environment: ImmutableSandboxedEnvironment) -> Filled | None:
        """Check a template, and try it with made-up values. Returns None when it is wrong.

        Args:
            field: The setting that it is.
            source: The template.
            environment: How values are inserted.
        """
        try:
            template = Filled(source, environment, self._known)
        except TemplateFaultError as error:
            self.note(field, str(error))
            return None
        self._names |= template.names
        if not template.names & _NOT_TRIED:
            try:
                for values in self._samples:
                    template.fill(values)
            except TemplateFaultError as error:
                self.note(field, f"cannot be filled in: {error}")
                return None
        return template

    def frame(self, field: str, source: str) -> Filled | None:
        """Check the template of a frame. Returns None when it is empty, or wrong.

        Args:
            field: The setting that it is.
            source: The template.
        """
        if not source:
            return None
        template = self.template(field, source, PLAIN if self._is_text else JSON)
        if template is None or self._is_text or template.names & _NOT_TRIED:
            return template
        for values in self._samples:
            text = template.fill(values)
            if text.strip() and (problem := self._problem(text)):
                self.note(field, f"{problem} with made-up values: {text[:120]!r}")
                return None
        return template

    def _problem(self, text: str) -> str:
        try:
            self._format(text)
        except UnreadableError as error:
            try:
                json.loads(text)
            except ValueError as inner:
                at = getattr(inner, "pos", 0)
                return f"{error} (character {at + 1}, near {text[max(0, at - 30) : at + 10]!r})"
            return str(error)
        return ""

    def path(self, field: str, source: str) -> Path | None:
        """Check a path. Returns None when it is empty, or wrong.

        Args:
            field: The setting that it is.
            source: The path.
        """
        if not source:
            return None
        try:
            return Path(source)
        except PathError as error:
            self.note(field, str(error))
            return None

    def needed_path(self, field: str, source: str) -> Path:
        """Check a path that has to be there; see `path`."""
        path = self.path(field, source)
        if not source:
            self.note(field, "is needed")
        return path if path is not None else Path("$")

    def finish(self) -> None:
        """End the check.

        Raises:
            SettingsError: There were faults.
        """
        if self._violations:
            raise SettingsError(self._violations)


def sample_values(settings: WebSocketSettings, saved: Mapping[str, Any], *, first: bool) -> dict[str, Any]:
    """Make up a value for each name that templates may use, but for the variables.

    Args:
        settings: The settings.
        saved: What frames brought.
        first: Nothing came from the agent yet, and no choice was taken.
    """
    return {
        "text": _AWKWARD,
        "value": _AWKWARD,
        "choice": None if first else {"id": _AWKWARD, "title": _AWKWARD},
        "more": not first,
        "message_id": _ID,
        "number": 0 if first else 1,
        "read_id": _ID,
        "conversation_id": _ID,
        "session_id": _ID,
        "attempt": 1,
        "persona": {"name": _AWKWARD, "locale": "en-GB"},
        "saved": saved,
        "last_id": None if first else _AWKWARD,
        "secrets": {name: secret.get_secret_value() for name, secret in settings.secrets.items()},
        "frame": {},
    }
