"""Puts streamed messages together, frame by frame."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from mimic_plugin_sdk import WireTime

from mimic_adapter_websocket.paths import Path
from mimic_adapter_websocket.replies import ReplyReader, Said, word
from mimic_adapter_websocket.templates import Filled


class TooLongError(ValueError):
    """Deltas add up to more than they may."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What a frame of some kind means: `settings.Frame`, checked."""

    whole: Path | None
    delta: Path | None
    key: Path | None
    closes: bool
    done: Path | None
    typing: Path | None
    ended: Path | None
    error: Path | None
    ack: Path | None
    deleted: Path | None
    answer: Filled | None
    remember: dict[str, Path]
    silence_ms: Path | None
    says: bool
    """It may make a message whole, or go on with one."""
    means_nothing: bool
    """Nothing else is set, but for `answer`."""


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
    first: WireTime
    pieces: list[str] = field(default_factory=list)


class Drafts:
    """The messages of one conversation that are not whole yet."""

    def __init__(self, reader: ReplyReader, limit: int) -> None:
        """Begin.

        Args:
            reader: How to read whole messages.
            limit: Most bytes that are held.
        """
        self._reader = reader
        self._limit = limit
        self._size = 0
        self._drafts: dict[str, _Draft] = {}
        self._newest = ""

    def take(self, rule: Rule, data: Any, at: WireTime) -> Sequence[Heard]:
        """Take a frame. Returns the messages that are whole with it, in order.

        Args:
            rule: What such a frame means.
            data: The frame.
            at: When it came.

        Raises:
            TooLongError: The deltas add up to more than they may.
            replies.MissingError: A whole message has nothing where it should be.
            paths.DataError: It is too deep.
        """
        if rule.whole is not None and not self._drafts and rule.delta is None:
            return [Heard(said, at, at) for node in rule.whole.all(data) for said in self._reader.read(node)]
        heard: list[Heard] = []
        key = word(rule.key, data)
        if rule.delta is not None:
            self._add(key, [piece for piece in rule.delta.all(data) if isinstance(piece, str)], at)
        if rule.whole is not None:
            said = [one for node in rule.whole.all(data) for one in self._reader.read(node)]
            heard += [Heard(one, self._began(one.id or key, at), at) for one in said]
        if rule.closes:
            heard += self._close(key or self._newest, at)
        return heard

    def finish(self, at: WireTime) -> Sequence[Heard]:
        """Take what there is for whole. Returns the messages.

        Args:
            at: When it became clear that they are.
        """
        return [heard for key in list(self._drafts) for heard in self._close(key, at)] if self._drafts else ()

    def clear(self) -> None:
        """Forget what is not whole: its end will not come over this socket."""
        self._drafts.clear()
        self._size = 0

    def _add(self, key: str, pieces: list[str], at: WireTime) -> None:
        size = sum(map(_bytes, pieces))
        if not size:
            return
        self._size += size
        if self._size > self._limit:
            raise TooLongError(f"deltas add up to more than {self._limit} bytes (`max_message_bytes`)")
        key = key or self._newest
        draft = self._drafts.get(key)
        if draft is None:
            draft = self._drafts[key] = _Draft(at)
        self._newest = key
        draft.pieces += pieces

    def _began(self, key: str, at: WireTime) -> WireTime:
        """Say when a message that came as a whole began; the deltas before it are of it."""
        draft = self._pop(key) or self._pop(self._newest) or self._pop("")
        return draft.first if draft is not None else at

    def _close(self, key: str, at: WireTime) -> Sequence[Heard]:
        draft = self._pop(key)
        if draft is None:
            return ()
        return (Heard(Said(self._reader.marked_up("".join(draft.pieces)), key), draft.first, at),)

    def _pop(self, key: str) -> _Draft | None:
        draft = self._drafts.pop(key, None)
        if draft is not None:
            self._size -= sum(map(_bytes, draft.pieces))
            if key == self._newest:
                self._newest = ""
        return draft


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode(errors="surrogatepass"))
