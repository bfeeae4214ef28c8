"""Puts the messages of a streamed answer together, event by event."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mimic_plugin_sdk import Text, WireTime

from mimic_adapter_rest.decoders import Event
from mimic_adapter_rest.paths import Path
from mimic_adapter_rest.replies import AnswerError, ReplyReader, Said, mended, written

ANY = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What an event means: `settings.StreamEvent`, checked."""

    delta: Path | None
    key: Path | None
    whole: Path | None
    closes: bool
    done: Path | None
    error: Path | None
    ended: Path | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamShape:
    """How to read a stream: `settings.Stream`, checked."""

    kind: Path | None
    rules: Mapping[str, Rule]
    done_data: str

    @property
    def tells_its_end(self) -> bool:
        """Whether a stream says when it is whole; otherwise it is whole when it ends."""
        return bool(self.done_data) or any(rule.done is not None for rule in self.rules.values())


@dataclass(frozen=True, slots=True)
class Heard:
    """A message, and when it came."""

    said: Said
    """The message."""
    first_byte: WireTime
    """When its first byte came."""
    last_byte: WireTime
    """When its last byte came."""


@dataclass(slots=True)
class _Draft:
    key: str | None
    first: WireTime
    last: WireTime
    pieces: list[str] = field(default_factory=list)


class Assembler:
    """Takes the events of one answer, and gives its messages as they become whole."""

    def __init__(self, shape: StreamShape, reader: ReplyReader, note: Callable[[Any], None] | None) -> None:
        """Begin.

        Args:
            shape: How to read it.
            reader: How to read whole messages.
            note: Called with each event's data. None: with none.
        """
        self._shape = shape
        self._reader = reader
        self._note = note
        self._drafts: dict[str | None, _Draft] = {}
        self._newest: str | None = None
        self._told: set[str] = set()
        self.done = False
        """The answer is whole; nothing more is to be taken."""
        self.ended = False
        """The agent ended the conversation."""
        self.typing = False
        """The agent is typing."""

    def take(self, event: Event, at: WireTime) -> list[Heard]:
        """Take an event.

        Args:
            event: The event.
            at: When it came.

        Returns:
            The messages that are whole with it.

        Raises:
            AnswerError: It is an error of the agent's, or not JSON.
            paths.DataError: It is too deep.
        """
        shape = self._shape
        if shape.done_data and event.data == shape.done_data:
            return self._finish()
        if shape.kind is None and event.name not in shape.rules and ANY not in shape.rules:
            return []
        try:
            data = json.loads(event.data)
        except (ValueError, RecursionError):
            raise AnswerError("AGENT_NOT_JSON", "with an event whose data is not JSON", event.data) from None
        if self._note is not None:
            self._note(data)
        told = shape.kind.first(data) if shape.kind is not None else None
        kind = event.name if told is None else str(told)
        rule = shape.rules.get(kind) or shape.rules.get(ANY)
        return [] if rule is None else self._apply(rule, data, at)

    def end(self) -> list[Heard]:
        """Take the end of the stream. Returns the messages that are whole with it.

        Raises:
            AnswerError: It was cut off.
        """
        if self._shape.tells_its_end and not self.done:
            so_far = "".join(piece for draft in self._drafts.values() for piece in draft.pieces)
            raise AnswerError(
                "AGENT_ANSWER_CUT", "with a stream that ended before the answer did", mended(so_far)
            )
        return self._finish()

    def _apply(self, rule: Rule, data: Any, at: WireTime) -> list[Heard]:
        if rule.error is not None and (error := rule.error.first(data)) is not None:
            raise AnswerError("AGENT_ERROR", "with an error", written(error))
        heard: list[Heard] = []
        key = rule.key.first(data) if rule.key is not None else None
        name = None if key is None else str(key)
        if rule.delta is not None:
            self._add(name, [piece for piece in rule.delta.all(data) if isinstance(piece, str)], at)
        if rule.whole is not None:
            heard += self._whole(rule.whole.all(data), at)
        if rule.closes:
            heard += self._close(self._newest if name is None else name)
        if rule.ended is not None and rule.ended.holds(data):
            self.ended = True
        if rule.done is not None and (rule.done.source == "$" or rule.done.holds(data)):
            heard += self._finish()
        return heard

    def _add(self, key: str | None, pieces: list[str], at: WireTime) -> None:
        pieces = [piece for piece in pieces if piece]
        if not pieces:
            return
        if key is None:
            key = self._newest
        draft = self._drafts.get(key)
        if draft is None:
            draft = self._drafts[key] = _Draft(key, at, at)
        self._newest = key
        draft.pieces += pieces
        draft.last = at

    def _whole(self, nodes: list[Any], at: WireTime) -> list[Heard]:
        answer = self._reader.read_nodes(nodes)
        self.typing = self.typing or answer.typing
        self.ended = self.ended or answer.ended
        heard = []
        for said in answer.said:
            if said.id and said.id in self._told:
                continue
            # Deltas without a key are of the message that is told as a whole after them.
            draft = self._drafts.pop(said.id or self._newest, None) or self._drafts.pop(None, None)
            heard.append(Heard(said, draft.first if draft else at, at))
            self._told.add(said.id)
        return heard

    def _close(self, key: str | None) -> list[Heard]:
        draft = self._drafts.pop(key, None)
        if key == self._newest:
            self._newest = None
        if draft is None:
            return []
        text = mended("".join(draft.pieces))
        markup = self._reader.markup
        if draft.key is not None:
            self._told.add(draft.key)
        said = Said((Text(text, markup),) if markup else text, draft.key or "")
        return [Heard(said, draft.first, draft.last)]

    def _finish(self) -> list[Heard]:
        self.done = True
        return [heard for key in list(self._drafts) for heard in self._close(key)]
