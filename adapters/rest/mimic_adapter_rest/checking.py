"""Checks what pydantic cannot: templates and paths, all of them before any fault is told."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from jinja2.sandbox import ImmutableSandboxedEnvironment
from mimic_plugin_sdk import SettingsError, SettingsViolation

from mimic_adapter_rest.paths import Path, PathError
from mimic_adapter_rest.settings import RestSettings
from mimic_adapter_rest.templates import Filled, TemplateFaultError

_AWKWARD = 'He said "hi" \\ and\nleft {{ it }}'
_ID = "00000000-0000-4000-8000-000000000000"


class Checking:
    """Collects the faults of some settings."""

    def __init__(self, settings: RestSettings) -> None:
        """Begin.

        Args:
            settings: The settings, those of the preset included.
        """
        self._violations: list[SettingsViolation] = []
        self._known: Collection[str]
        saved = [*settings.remember, *(settings.setup.remember if settings.setup else ())]
        self.samples: Sequence[Mapping[str, Any]] = [
            sample(settings, dict.fromkeys(saved), first=True),
            sample(settings, dict.fromkeys(saved, _AWKWARD), first=False),
        ]
        """Made-up values for templates, with and without what an earlier answer brings."""
        self._known = self.samples[0].keys()
        for name in settings.variables:
            if name in sample(settings.model_copy(update={"variables": {}}), {}, first=True):
                self.note(f"variables.{name}", "is a name that templates have already")
        for name in saved:
            if hasattr(dict, name):
                self.note(f"remember.{name}", "is a name that templates cannot use")

    def note(self, field: str, description: str) -> None:
        """Note a fault.

        Args:
            field: Path inside the settings.
            description: One line: what is wrong.
        """
        self._violations.append(SettingsViolation(field, description))

    def template(self, field: str, source: str, environment: ImmutableSandboxedEnvironment) -> Filled | None:
        """Check a template. Returns None when it is wrong.

        Args:
            field: The setting that it is.
            source: The template.
            environment: How values are inserted.
        """
        try:
            return Filled(source, environment, self._known)
        except TemplateFaultError as error:
            self.note(field, str(error))
            return None

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


def sample(settings: RestSettings, saved: Mapping[str, Any], *, first: bool) -> dict[str, Any]:
    """Make up a value for each name that templates may use.

    Args:
        settings: The settings.
        saved: What earlier answers brought.
        first: It is the first message of its conversation.
    """
    spoken = {"role": "user", "text": _AWKWARD, "id": _ID}
    answered = {"role": "assistant", "text": _AWKWARD, "id": _ID}
    return {
        **settings.variables,
        "text": _AWKWARD,
        "value": _AWKWARD,
        "choice": None if first else {"id": _AWKWARD, "title": _AWKWARD},
        "message_id": _ID,
        "conversation_id": _ID,
        "session_id": _ID,
        "attempt": 1,
        "persona": {"name": _AWKWARD, "locale": "en-GB"},
        "saved": saved,
        "history": [spoken] if first else [spoken, answered, spoken],
        "callback_url": "http://127.0.0.1:1/callback",
        "stream": settings.stream,
        "now": "2026-01-01T00:00:00Z",
    }
