"""How A2A's messages, tasks, updates and errors are written down in each of its versions; see `a2a.py`."""

import dataclasses
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

_TYPE_PREFIX = "type.googleapis.com/google.rpc"


@dataclasses.dataclass
class Task:
    """A task, in words of neither version."""

    id: str
    context_id: str
    history: list[tuple[str, str]]
    """The user's messages: id and text."""
    state: str = "submitted"
    """One of submitted, working, input-required, completed, failed."""
    says: str | None = None
    """What the agent says with the state."""
    timestamp: str | None = None
    artifacts: dict[str, list[str]] = dataclasses.field(default_factory=dict)
    """Texts by artifact id."""


@dataclasses.dataclass(frozen=True)
class MessageEvent:
    """The agent answers without a task."""

    context_id: str
    texts: Sequence[str]


@dataclasses.dataclass(frozen=True)
class TaskEvent:
    """The task as a whole."""

    task: Task


@dataclasses.dataclass(frozen=True)
class StatusEvent:
    """The task's state changed."""

    task: Task


@dataclasses.dataclass(frozen=True)
class ArtifactEvent:
    """A piece of an artifact."""

    task: Task
    artifact_id: str
    text: str
    append: bool
    last: bool


Event = MessageEvent | TaskEvent | StatusEvent | ArtifactEvent


class A2AError(Exception):
    """A request that is refused, or fails."""

    def __init__(
        self, code: int, message: str, reason: str = "", violations: Sequence[tuple[str, str]] = ()
    ) -> None:
        super().__init__(message)
        self.code = code
        """JSON-RPC's."""
        self.message = message
        self.reason = reason
        self.violations = violations
        """Fields and what is wrong with them."""

    def details(self) -> list[dict[str, Any]]:
        """Google's error details, which 1.0 sends."""
        if not self.reason:
            return []
        errors = [{"field": field, "message": text} for field, text in self.violations]
        info = {
            "@type": f"{_TYPE_PREFIX}.ErrorInfo",
            "reason": self.reason,
            "domain": "a2a-protocol.org",
            "metadata": {"errors": errors} if errors else {},
        }
        if not errors:
            return [info]
        fields = [{"field": field, "description": text} for field, text in self.violations]
        return [info, {"@type": f"{_TYPE_PREFIX}.BadRequest", "fieldViolations": fields}]


class Wire:
    """Version 1.0: the JSON of protobuf."""

    version = "1.0"

    def parts(self, texts: Sequence[str]) -> list[dict[str, Any]]:
        """Parts of a message or an artifact."""
        return [{"text": text} for text in texts]

    def message(
        self, role: str, texts: Sequence[str], ids: Mapping[str, str], message_id: str | None = None
    ) -> dict[str, Any]:
        """A message.

        Args:
            role: `user` or `agent`.
            texts: Its parts.
            ids: The context's, and where there is one the task's.
            message_id: Its id; None makes one.
        """
        return {
            "messageId": message_id or str(uuid.uuid4()),
            **ids,
            "role": f"ROLE_{role.upper()}",
            "parts": self.parts(texts),
        }

    def state(self, state: str) -> str:
        """A task's state."""
        return f"TASK_STATE_{state.upper().replace('-', '_')}"

    def status(self, task: Task) -> dict[str, Any]:
        """A task's status."""
        status: dict[str, Any] = {"state": self.state(task.state)}
        if task.says is not None:
            status["message"] = self.message("agent", [task.says], _ids(task))
        if task.timestamp is not None:
            status["timestamp"] = task.timestamp
        return status

    def task(self, task: Task) -> dict[str, Any]:
        """A task as `GetTask` answers it."""
        written: dict[str, Any] = {
            "id": task.id,
            "contextId": task.context_id,
            "status": self.status(task),
        }
        if task.artifacts:
            written["artifacts"] = [
                {"artifactId": key, "name": "reply", "parts": self.parts(texts)}
                for key, texts in task.artifacts.items()
            ]
        written["history"] = [
            self.message("user", [text], _ids(task), message_id) for message_id, text in task.history
        ]
        return written

    def result(self, event: Event) -> dict[str, Any]:
        """An event as a method answers or streams it."""
        match event:
            case MessageEvent(context_id, texts):
                return {"message": self.message("agent", texts, {"contextId": context_id})}
            case TaskEvent(task):
                return {"task": self.task(task)}
            case StatusEvent(task):
                return {"statusUpdate": {**_ids(task), "status": self.status(task)}}
            case ArtifactEvent(task):
                flags = {"append": event.append, "lastChunk": event.last}
                # Protobuf's JSON leaves false out.
                given = {name: value for name, value in flags.items() if value}
                return {"artifactUpdate": {**_ids(task), "artifact": self.artifact(event), **given}}

    def artifact(self, event: ArtifactEvent) -> dict[str, Any]:
        """A piece of an artifact; its name comes with the first."""
        name = {} if event.append else {"name": "reply"}
        return {"artifactId": event.artifact_id, **name, "parts": self.parts([event.text])}

    def error(self, error: A2AError) -> dict[str, Any]:
        """A JSON-RPC error."""
        details = error.details()
        body: dict[str, Any] = {"code": error.code, "message": error.message}
        return {**body, "data": details} if details else body


class OldWire(Wire):
    """Version 0.3: each object names its kind, and results are not wrapped."""

    version = "0.3"

    def parts(self, texts: Sequence[str]) -> list[dict[str, Any]]:
        """Parts of a message or an artifact."""
        return [{"kind": "text", "text": text} for text in texts]

    def message(
        self, role: str, texts: Sequence[str], ids: Mapping[str, str], message_id: str | None = None
    ) -> dict[str, Any]:
        """A message; see `Wire.message`."""
        return {**super().message(role, texts, ids, message_id), "kind": "message", "role": role}

    def state(self, state: str) -> str:
        """A task's state."""
        return state

    def task(self, task: Task) -> dict[str, Any]:
        """A task as `tasks/get` answers it."""
        return {**super().task(task), "kind": "task"}

    def result(self, event: Event) -> dict[str, Any]:
        """An event as a method answers or streams it."""
        match event:
            case StatusEvent(task):
                final = task.state in {"completed", "failed"}
                status = self.status(task)
                return {**_ids(task), "kind": "status-update", "final": final, "status": status}
            case ArtifactEvent(task):
                flags = {"append": event.append, "lastChunk": event.last}
                return {**_ids(task), "kind": "artifact-update", "artifact": self.artifact(event), **flags}
        (result,) = super().result(event).values()
        return dict(result)

    def error(self, error: A2AError) -> dict[str, Any]:
        """A JSON-RPC error."""
        data = "\n".join(f"params.{field}\n  {text}" for field, text in error.violations) or None
        if error.violations:
            return {"code": -32600, "message": "Invalid Request", "data": data}
        return {"code": error.code, "message": error.message, "data": None}


V10 = Wire()
V03 = OldWire()


def _ids(task: Task) -> dict[str, str]:
    return {"taskId": task.id, "contextId": task.context_id}
