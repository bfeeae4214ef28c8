"""How a persona types: one turn's words as the messages that go out, drawn from the session's seed."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

from mimic_server.domain.adapters import Capabilities
from mimic_server.domain.messages import Media, MediaKind, Part, Text
from mimic_server.domain.personas import TypingStyle
from mimic_server.simulation.pictures import picture
from mimic_server.simulation.tasks import Dialogue, PersonaTurn
from mimic_server.simulation.typos import with_typos

MAX_BURST = 4
"""Messages that one message is split into at most."""
_CHARACTERS_PER_WORD = 5
_MAX_DELAY_SECONDS = 120.0

_SENTENCE_END = re.compile(r"(?<=[.!?…\u3002\uff01\uff1f])\s+")
_CLAUSE = re.compile(r",\s+|\s+(?=(?:and|but|because|so|or|und|aber|weil|y|pero|porque|et|mais|e|ma)\s)")
_HAS_EMOJI = re.compile("[\u2600-\u27bf\U0001f300-\U0001faff]")
_EMOJI = ("🙂", "🙏", "😅", "🤷")
_EMOJI_ASKING = ("🤔", "🙏", "🙂", "👀")
_AGAIN = ("so: {}", "I mean: {}", "again: {}", "in other words: {}")


@dataclass(frozen=True, slots=True)
class PlannedMessage:
    """A message of the persona's turn."""

    parts: tuple[Part, ...]
    delay_seconds: float = 0.0
    """How long the persona takes to type it, from the message before or from the start of the turn."""


def lets_turn_pass(dialogue: Dialogue, *, seed: int, attempt: int, turn: int) -> bool:
    """Whether the persona says nothing this turn, whatever it would say: known before a model is asked.

    Never in the first turn. `plan` draws the same.
    """
    rate = dialogue.persona.typing_style.silence_rate
    return rate > 0 and turn > 1 and _draws(seed, attempt, turn, 1).random() < rate


def plan(
    answer: PersonaTurn,
    dialogue: Dialogue,
    *,
    seed: int,
    attempt: int,
    turn: int,
    pace: float,
    capabilities: Capabilities,
) -> tuple[PlannedMessage, ...]:
    """Lays out a turn as messages: the same for the same arguments.

    Args:
        answer: What the persona says. Said with a stop, it is never left out.
        dialogue: The conversation so far.
        seed: The session's.
        attempt: The attempt's number.
        turn: The turn's number.
        pace: Multiple of the persona's own typing time. 0: no delays.
        capabilities: The adapter's; texts longer than it takes are split.

    Returns:
        The messages in order. Empty: the persona lets the turn pass.
    """
    if answer.decision == "continue" and lets_turn_pass(dialogue, seed=seed, attempt=attempt, turn=turn):
        return ()
    style, draws = dialogue.persona.typing_style, _draws(seed, attempt, turn, 0)
    texts = _split(answer.messages, style, draws)
    if texts and style.double_send_rate and draws.random() < style.double_send_rate:
        texts.append(_again(texts[-1], dialogue.persona.locale, draws))
    if style.typo_rate:
        texts = [with_typos(text, style.typo_rate, draws) for text in texts]
    if style.emoji:
        texts = [_with_emoji(text, draws) for text in texts]
    bodies: list[tuple[Part, ...]] = []
    taken = dialogue.taken(answer.take_choice) if answer.take_choice is not None else None
    if taken is not None and dialogue.can_take_choices:
        bodies.append((taken,))
    elif taken is not None:
        texts.insert(0, taken.title or taken.choice_id)
    if style.lowercase:
        texts = [text.lower() for text in texts]
    bodies += [(Text(piece),) for text in texts for piece in _fitting(text, capabilities.max_text_chars)]
    drawn = style.picture_rate > 0 and bool(texts) and draws.random() < style.picture_rate
    if dialogue.can_send_pictures and (answer.send_picture or drawn):
        data = picture(draws)
        bodies.append((Media(MediaKind.IMAGE, "image/png", "photo.png", len(data), data),))
    return tuple(PlannedMessage(parts, _delay_seconds(parts, style, pace, draws)) for parts in bodies)


def _draws(seed: int, attempt: int, turn: int, stream: int) -> random.Random:
    return random.Random(((seed * 1000 + attempt) * 10_000 + turn) * 2 + stream)


def _split(messages: Sequence[str], style: TypingStyle, draws: random.Random) -> list[str]:
    if not style.burst_rate or draws.random() >= style.burst_rate:
        return list(messages)
    return [piece for message in messages for piece in _burst(message)]


def _burst(message: str) -> list[str]:
    pieces = [piece for piece in _SENTENCE_END.split(message) if piece]
    if len(pieces) == 1:
        # The clause that begins nearest to the middle; half a sentence alone is not worth a message.
        middle = len(message) / 2
        ends = [match for match in _CLAUSE.finditer(message) if 8 <= match.start() <= len(message) - 8]
        if ends:
            cut = min(ends, key=lambda match: abs(match.start() - middle))
            pieces = [message[: cut.start()], message[cut.end() :]]
    while len(pieces) > MAX_BURST:
        shortest = min(range(len(pieces) - 1), key=lambda i: len(pieces[i]) + len(pieces[i + 1]))
        pieces[shortest : shortest + 2] = [f"{pieces[shortest]} {pieces[shortest + 1]}"]
    return pieces


def _again(text: str, locale: str, draws: random.Random) -> str:
    """The last sentence once more; in other words where the locale's are known here."""
    sentence = _SENTENCE_END.split(text)[-1]
    return draws.choice(_AGAIN).format(sentence) if locale.lower().startswith("en") else sentence


def _with_emoji(text: str, draws: random.Random) -> str:
    if draws.random() < 0.5 or _HAS_EMOJI.search(text):
        return text
    return f"{text} {draws.choice(_EMOJI_ASKING if text.endswith('?') else _EMOJI)}"


def _fitting(text: str, limit: int) -> list[str]:
    """A text in pieces of at most `limit` characters, cut at spaces where there are any."""
    pieces = []
    while limit and len(text) > limit:
        cut = text.rfind(" ", 1, limit + 1)
        if cut < limit // 2:
            cut = limit
        pieces.append(text[:cut].rstrip())
        text = text[cut:].lstrip()
    if text:
        pieces.append(text)
    return [piece for piece in pieces if piece]


def _delay_seconds(parts: tuple[Part, ...], style: TypingStyle, pace: float, draws: random.Random) -> float:
    if pace <= 0:
        return 0.0
    characters = sum(len(part.text) for part in parts if isinstance(part, Text)) or _CHARACTERS_PER_WORD
    typing = characters / _CHARACTERS_PER_WORD / style.words_per_minute * 60
    return min(pace * (typing + draws.uniform(0.5, 2.0)), _MAX_DELAY_SECONDS)
