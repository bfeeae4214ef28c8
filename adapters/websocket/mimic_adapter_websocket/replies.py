"""What the agent says, out of the messages in its frames."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mimic_plugin_sdk import Card, Choice, ChoiceKind, ChoicesOffered, Media, MediaKind, Part, Text

from mimic_adapter_websocket.paths import Path
from mimic_adapter_websocket.settings import Role

_CARD_CHARS = 65_536
_KINDS = {"image": MediaKind.IMAGE, "audio": MediaKind.AUDIO, "video": MediaKind.VIDEO}


class MissingError(ValueError):
    """There is nothing where a message's text should be; the message says what is there."""


@dataclass(frozen=True, slots=True)
class Said:
    """One message of the agent."""

    content: str | tuple[Part, ...]
    """Its text, or its parts; never empty."""
    id: str = ""
    """The agent's id of it. Empty: none."""
    in_reply_to: str = ""
    """The id of the persona's message that it answers. Empty: not told."""
    replaces: str = ""
    """The id of an earlier message that it replaces. Empty: it is new."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyReader:
    """Reads messages as `settings.Reply` says; its fields are that model's, checked."""

    text: Path
    join: str
    markup: str
    id: Path | None
    in_reply_to: Path | None
    replaces: Path | None
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

    def read(self, node: Any) -> Sequence[Said]:
        """Read a message. Returns none where it is empty or not the agent's, else one for each of its texts.

        Args:
            node: The message's data.

        Raises:
            MissingError: It has nothing where it should be.
            paths.DataError: It is too deep.
        """
        if self.role is not None and self.roles.get(written(self.role.first(node))) is not Role.AGENT:
            return ()
        matches = self.text.all(node)
        texts = self._texts(matches, node)
        parts = self._parts(node)
        if not matches and not parts and not self.text.leads_somewhere(node):
            raise MissingError(f"there is nothing at {self.text.source}: {written(node)}")
        key = word(self.id, node)
        answers = word(self.in_reply_to, node)
        replaced = word(self.replaces, node)
        # Only one message can have the id.
        said = [
            Said(self.marked_up(text), "" if index else key, answers, replaced)
            for index, text in enumerate(filter(None, texts))
        ]
        if not parts:
            return said
        last = said.pop() if said else Said("", key, answers, replaced)
        first = (
            (Text(last.content),) if isinstance(last.content, str) and last.content else last.content or ()
        )
        return [*said, Said((*first, *parts), last.id, answers, replaced)]

    def marked_up(self, text: str) -> str | tuple[Part, ...]:
        """Return a text as content of a message.

        Args:
            text: The text.
        """
        return (Text(text, self.markup),) if self.markup else text

    def _texts(self, matches: Sequence[Any], node: Any) -> list[str]:
        if len(matches) == 1:
            (only,) = matches
            if isinstance(only, str):
                return [only]
            if isinstance(only, list):
                return [text for one in only if (text := _text(one))]
        texts = [text for one in matches if (text := _text(one))]
        if matches and not texts and any(isinstance(one, dict | bool) for one in matches):
            raise MissingError(f"{self.text.source} is no text: {written(node)}")
        return [self.join.join(texts)]

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
        title = word(self.choice_title, choice)
        value = self.choice_id.first(choice)
        key = title if value is None else written(value)
        return Choice(key, title or key, kind, uri=key if kind is ChoiceKind.LINK else "")

    def _media(self, file: Any) -> Media:
        uri = word(self.media_uri, file)
        mime_type = word(self.media_type, file)
        kind = self.media_kind
        if kind is MediaKind.UNKNOWN:
            kind = _KINDS.get(mime_type.partition("/")[0], kind)
        reachable = uri.startswith(("http://", "https://", "data:"))
        name = word(self.media_name, file)
        return Media(kind=kind, mime_type=mime_type, name=name, uri=uri if reachable else "")

    def _card(self, card: Any) -> Card:
        texts = self.card_text.all(card) if self.card_text is not None else ()
        text = "\n".join(text for text in texts if isinstance(text, str))
        return Card(text, word(self.card_type, card), written(card)[:_CARD_CHARS])


def written(value: Any) -> str:
    """Return a value as a person reads it: a text as it is, anything else as JSON.

    Args:
        value: Data of a frame.
    """
    if isinstance(value, str):
        return value
    try:
        return json.dumps(value, ensure_ascii=False)
    except RecursionError:
        return "(nested too deep)"


def word(path: Path | None, data: Any) -> str:
    """Return the text, or the number as one, where a path leads. Returns "" if there is none.

    Args:
        path: The path. None: it leads nowhere.
        data: Where to look.

    Raises:
        paths.DataError: The data is too deep.
    """
    return _text(path.first(data)) if path is not None else ""


def _text(value: Any) -> str:
    if value.__class__ is str:
        return str(value)
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else ""
