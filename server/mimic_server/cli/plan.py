"""Plan files: an agent, how it is reached, who talks to it, what is checked."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Discriminator, Field, Tag

from mimic_server.cli.errors import CommandError, Exit
from mimic_server.domain.agents import AgentSpec, Channel, Mode
from mimic_server.domain.bootstraps import BootstrapOptions
from mimic_server.domain.errors import InvalidInputError, Violation
from mimic_server.domain.evaluations import EvaluationSpec
from mimic_server.domain.personas import PersonaSpec
from mimic_server.domain.runs import RunOptions
from mimic_server.domain.sessions import SessionOptions
from mimic_server.domain.specs import Spec
from mimic_server.evaluation.compile import compile_evaluation

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")


class ChannelPlan(Spec):
    """How the agent is reached."""

    name: Channel
    """The channel, as in `mimic-adapter-<name>`."""
    mode: Mode | None = None
    settings: dict[str, Any] = Field(default_factory=dict)
    """The adapter's settings. `${NAME}` and `${NAME:-default}` stand for environment variables."""


class Drafts(Spec):
    """Asks for drafts instead of writing them out."""

    generate: Annotated[int, Field(ge=1, le=50)]
    """How many."""
    instructions: str = ""
    """What to look at in particular."""


def _shape(value: Any) -> str:
    """What `personas` and `evaluations` are, by their shape alone."""
    return _DRAFTS if isinstance(value, (dict, Drafts)) else _WRITTEN


# Steps of a pydantic path that are no fields of a plan.
_DRAFTS, _WRITTEN = "<drafts>", "<written>"


class Plan(Spec):
    """What `mimic run` does."""

    name: str = ""
    """Name of the run. Empty: the file's."""
    agent: AgentSpec
    channel: ChannelPlan
    personas: Annotated[
        Annotated[tuple[PersonaSpec, ...], Field(min_length=1), Tag(_WRITTEN)]
        | Annotated[Drafts, Tag(_DRAFTS)],
        Discriminator(_shape),
    ] = Drafts(generate=3)
    evaluations: Annotated[
        Annotated[tuple[EvaluationSpec, ...], Tag(_WRITTEN)] | Annotated[Drafts, Tag(_DRAFTS)],
        Discriminator(_shape),
    ] = Drafts(generate=5)
    repeats: Annotated[int, Field(ge=1, le=1000)] = 1
    concurrency: Annotated[int, Field(ge=1, le=10_000)] = 8
    max_turns: Annotated[int, Field(ge=1, le=1000)] = 20
    seed: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    session: dict[str, Any] = Field(default_factory=dict)
    """Further options of each session, such as `turn_timeout_ms`."""

    @property
    def run_options(self) -> RunOptions:
        """How the run is played.

        Raises:
            InvalidInputError: For `session`.
        """
        options = {**self.session, "max_turns": self.max_turns}
        if self.seed is not None:
            options["seed"] = self.seed
        return RunOptions(
            repeats=self.repeats,
            concurrency=self.concurrency,
            session=SessionOptions.parse(options, "session"),
        )

    @property
    def bootstrap(self) -> BootstrapOptions | None:
        """What has to be drafted. Returns None if all is written out."""
        personas = self.personas if isinstance(self.personas, Drafts) else None
        evaluations = self.evaluations if isinstance(self.evaluations, Drafts) else None
        if personas is None and evaluations is None:
            return None
        return BootstrapOptions(
            personas=personas.generate if personas else 0,
            evaluations=evaluations.generate if evaluations else 0,
            instructions="\n".join(d.instructions for d in (personas, evaluations) if d),
            seed=self.seed or 0,
        )

    @property
    def key(self) -> str:
        """Names what the plan makes besides its run: the same plan again finds it."""
        written = self.model_dump_json(include={"agent", "channel", "personas", "evaluations", "seed"})
        return hashlib.sha256(written.encode()).hexdigest()[:40]


def load(path: Path) -> Plan:
    """Reads a plan file.

    Raises:
        CommandError: It cannot be read, is not YAML, or something in it is wrong; says where.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}", Exit.USAGE) from None
    except UnicodeDecodeError:
        raise CommandError(f"{path}: not UTF-8 text", Exit.USAGE) from None
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "not YAML"
        raise CommandError(f"{path}{where}: {problem}", Exit.USAGE) from None
    if not isinstance(content, dict):
        raise CommandError(f"{path}: a plan is a mapping with `agent` and `channel`", Exit.USAGE)
    try:
        if isinstance(channel := content.get("channel"), dict) and "settings" in channel:
            channel["settings"] = _filled(channel["settings"], "channel.settings")
        plan = Plan.parse(content)
        _ = plan.run_options
        _compile(plan)
    except InvalidInputError as error:
        raise CommandError(f"{path}: {_told(error)}", Exit.USAGE) from None
    return plan if plan.name else plan.model_copy(update={"name": path.stem})


def _told(error: InvalidInputError) -> str:
    """What is wrong, in the words of a plan file."""
    found = []
    for violation in error.violations:
        field = violation.field.replace(f".{_DRAFTS}", "").replace(f".{_WRITTEN}", "")
        text = violation.description.replace("tuple", "list").replace(" after validation", "")
        found.append((field, text))
    # A list whose items are faulty counts as empty too.
    return "; ".join(
        f"{field}: {text}"
        for field, text in found
        if not any(other.startswith(f"{field}[") for other, _ in found)
    )


def _compile(plan: Plan) -> None:
    """Reads all evaluations, as the server will.

    Raises:
        InvalidInputError: For all that are faulty at once.
    """
    if isinstance(plan.evaluations, Drafts):
        return
    found = []
    for index, spec in enumerate(plan.evaluations):
        try:
            compile_evaluation(spec)
        except InvalidInputError as error:
            at = f"evaluations[{index}]"
            found += [Violation(f"{at}.{v.field}", v.description) for v in error.violations]
    if found:
        raise InvalidInputError(found)


def _filled(value: Any, at: str) -> Any:
    """Replaces references to environment variables.

    Raises:
        InvalidInputError: A variable is not set and has no default.
    """
    if isinstance(value, dict):
        return {key: _filled(item, f"{at}.{key}") for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, f"{at}[{index}]") for index, item in enumerate(value)]
    if not isinstance(value, str):
        return value

    def variable(match: re.Match[str]) -> str:
        found = os.environ.get(match[1], match[2])
        if found is None:
            raise InvalidInputError.of(at, f"the environment variable {match[1]} is not set")
        return found

    return _VARIABLE.sub(variable, value)
