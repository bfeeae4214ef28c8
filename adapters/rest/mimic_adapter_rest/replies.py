"""What the agent says, out of the data that it answers with."""

import json
import mimetypes
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin

from mimic_plugin_sdk import Card, Choice, ChoiceKind, ChoicesOffered, Media, MediaKind, Part, Text

from mimic_adapter_rest.paths import Path
from mimic_adapter_rest.settings import Role

_CARD_CHARS = 65_536


class AnswerError(Exception):
    """The agent answered, and its answer is an error or is not what it should be."""

    def __init__(self, reason: str, message: str, shown: str = "") -> None:
        """Say what is wrong.

        Args:
            reason: UPPER_SNAKE_CASE reason for programs.
            message: One line for people.
            shown: What the agent said, of any length; its beginning is shown.
        """
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.shown = shown


@dataclass(frozen=True, slots=True)
class Said:
    """One message of the agent."""

    content: str | tuple[Part, ...]
    """Its text, or its parts; empty where nothing was said."""
    id: str = ""
    """The agent's id of it. Empty: none."""
    in_reply_to: str = ""
    """The id of the persona's message that it answers. Empty: not told."""

    @property
    def text(self) -> str:
        """Its texts, a line each."""
        if isinstance(self.content, str):
            return self.content
        return "\n".join(part.text for part in self.content if isinstance(part, Text | Card) and part.text)


@dataclass(frozen=True, slots=True)
class Answer:
    """What one piece of data told."""

    said: Sequence[Said] = ()
    """The messages, in order."""
    typing: bool = False
    """The agent is typing."""
    ended: bool = False
    """The agent ended the conversation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyReader:
    """Reads data as `settings.Reply` says; its fields are that model's, checked."""

    base: str
    """The agent's address: files may be named relative to it."""
    messages: Path
    text: Path
    join: str
    markup: str
    id: Path | None
    in_reply_to: Path | None
    role: Path | None
    roles: dict[str, Role]
    choices: Path | None
    choice_id: Path
    choice_title: Path
    choice_kind: ChoiceKind
    links: Path | None
    media: Path | None
    media_uri: Path
    media_type: Path | None
    media_name: Path | None
    media_kind: MediaKind
    cards: Path | None
    card_text: Path | None
    card_type: Path | None
    ended: Path | None
    error: Path | None

    def read(self, data: Any) -> Answer:
        """Read a whole answer.

        Args:
            data: The answer.

        Raises:
            AnswerError: It is an error, or nothing is where it should be.
            paths.DataError: It is too deep.
        """
        if self.error is not None and (error := self.error.first(data)) is not None:
            raise AnswerError("AGENT_ERROR", "with an error", written(error))
        nodes = self.messages.all(data)
        if not nodes and not self.messages.leads_somewhere(data):
            raise self._missing(self.messages, data)
        answer = self.read_nodes(nodes)
        if self.ended is not None and self.ended.holds(data):
            return Answer(answer.said, answer.typing, ended=True)
        return answer

    def read_nodes(self, nodes: Sequence[Any]) -> Answer:
        """Read messages.

        Args:
            nodes: The messages' data.

        Raises:
            AnswerError: One of them has nothing where it should be.
            paths.DataError: One of them is too deep.
        """
        if self.role is None:
            return Answer([said for node in nodes for said in self._message(node)])
        typing = ended = False
        said: list[Said] = []
        for node in nodes:
            match self.roles.get(str(self.role.first(node))):
                case "agent":
                    said += self._message(node)
                case "persona":
                    said.clear()
                case "typing":
                    typing = True
                case "end":
                    ended = True
        return Answer(said, typing, ended)

    def _message(self, node: Any) -> list[Said]:
        """Return what a node says: mostly one message, none where it is empty, or one for each text."""
        matches = self.text.all(node)
        texts = self._texts(matches, node)
        parts = self._parts(node)
        if not matches and not parts and not self.text.leads_somewhere(node):
            raise self._missing(self.text, node)
        key = _word(self.id, node)
        answers = _word(self.in_reply_to, node)
        said = [
            Said(text if not self.markup else (Text(text, self.markup),), key, answers)
            for text in texts
            if text
        ]
        if not parts:
            return said
        last = said.pop().content if said else ""
        first = (Text(last),) if isinstance(last, str) and last else last or ()
        return [*said, Said((*first, *parts), key, answers)]

    def _texts(self, matches: Sequence[Any], node: Any) -> list[str]:
        """Return a node's texts: what was matched as one, or each text of a list that alone was matched."""
        if len(matches) == 1:
            (only,) = matches
            if isinstance(only, list):
                return [text for one in only if (text := _text(one))]
            if isinstance(only, dict | bool):
                kind = "an object" if isinstance(only, dict) else "true or false"
                message = f"with {kind} at {self.text.source}, not a text"
                raise AnswerError("AGENT_REPLY_MISSING", message, written(node))
        return [self.join.join(text for one in matches if (text := _text(one)))]

    def _parts(self, node: Any) -> list[Part]:
        parts: list[Part] = []
        if self.media is not None:
            parts += [self._media(file) for file in self.media.all(node) if file is not None]
        if self.cards is not None:
            parts += [self._card(card) for card in self.cards.all(node) if card is not None]
        choices: list[Choice] = []
        if self.choices is not None:
            choices += [self._choice(one, self.choice_kind) for one in self.choices.all(node)]
        if self.links is not None:
            choices += [self._choice(one, ChoiceKind.LINK) for one in self.links.all(node)]
        offered = tuple(choice for choice in choices if choice.id)
        if offered:
            parts.append(ChoicesOffered(offered))
        return parts

    def _choice(self, choice: Any, kind: ChoiceKind) -> Choice:
        title = _word(self.choice_title, choice)
        value = self.choice_id.first(choice)
        key = title if value is None else value if isinstance(value, str) else written(value)
        return Choice(key, title or key, kind, uri=key if kind is ChoiceKind.LINK else "")

    def _media(self, file: Any) -> Media:
        uri = urljoin(self.base, _word(self.media_uri, file))
        mime_type = _word(self.media_type, file) or mimetypes.guess_type(uri)[0] or ""
        kind = self.media_kind
        if kind is MediaKind.UNKNOWN:
            kind = _KINDS.get(mime_type.partition("/")[0], kind)
        reachable = uri.startswith(("http://", "https://", "data:"))
        return Media(
            kind=kind, mime_type=mime_type, name=_word(self.media_name, file), uri=uri if reachable else ""
        )

    def _card(self, card: Any) -> Card:
        texts = self.card_text.all(card) if self.card_text is not None else ()
        text = "\n".join(text for text in texts if isinstance(text, str))
        return Card(text, _word(self.card_type, card), json.dumps(card)[:_CARD_CHARS])

    def _missing(self, path: Path, data: Any) -> AnswerError:
        return AnswerError("AGENT_REPLY_MISSING", f"with nothing at {path.source}", written(data))


_KINDS = {"image": MediaKind.IMAGE, "audio": MediaKind.AUDIO, "video": MediaKind.VIDEO}


def written(value: Any) -> str:
    """Return a value as a person reads it: a text as it is, anything else as JSON.

    Args:
        value: Data of an answer.
    """
    return mended(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def mended(text: str) -> str:
    """Return a text that is Unicode: JSON can hold the halves of a character, together or apart.

    Args:
        text: A text of an answer.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _text(value: Any) -> str:
    """Return a text, or a number as one. Returns "" for anything else."""
    if isinstance(value, str):
        return mended(value)
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else ""


def _word(path: Path | None, data: Any) -> str:
    return _text(path.first(data)) if path is not None else ""
