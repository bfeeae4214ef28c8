"""What every agent of this package says, so that one test fits all shapes.

`turn 2: TEXT` echoes, and its number proves that the conversation's id was carried. Commands, as the whole
message: `slow` waits 300 ms, `boom` fails (500 or the shape's own failure), `many` answers with three
messages (or, where the shape has one message a turn, three paragraphs), `bye` ends the conversation where the
shape can say so.
"""

import collections
import dataclasses

SLOW_SECONDS = 0.3
_MAX_CONVERSATIONS = 10_000


class BoomError(Exception):
    """The customer asked for a failure."""


@dataclasses.dataclass(frozen=True)
class Reply:
    """An answer."""

    messages: tuple[str, ...]
    """One text, or three for `many`."""
    delay_seconds: float = 0
    """How long the agent thinks first."""
    ended: bool = False
    """Whether the agent ends the conversation with it."""

    @property
    def text(self) -> str:
        """All of it as one text, a paragraph for each message."""
        return "\n\n".join(self.messages)


def reply_to(turn: int, text: str) -> Reply:
    """Answers a message.

    Args:
        turn: Its number in the conversation, from 1.
        text: What the customer wrote.

    Raises:
        BoomError: The text is `boom`.
    """
    match text.strip().lower():
        case "boom":
            raise BoomError
        case "slow":
            return Reply((f"turn {turn}: {text}",), delay_seconds=SLOW_SECONDS)
        case "many":
            return Reply(tuple(f"turn {turn}: {word}" for word in ("one", "two", "three")))
        case "bye":
            return Reply((f"turn {turn}: goodbye",), ended=True)
    return Reply((f"turn {turn}: {text}",))


class Echo:
    """An agent that remembers how many turns each conversation had."""

    def __init__(self) -> None:
        self._turns: collections.OrderedDict[str, int] = collections.OrderedDict()

    def reply(self, conversation_id: str, text: str) -> Reply:
        """Answers the next message of a conversation.

        Args:
            conversation_id: Whatever the shape calls it.
            text: What the customer wrote.

        Raises:
            BoomError: The text is `boom`.
        """
        turn = self._turns.pop(conversation_id, 0) + 1
        self._turns[conversation_id] = turn
        if len(self._turns) > _MAX_CONVERSATIONS:
            self._turns.popitem(last=False)
        return reply_to(turn, text)


def pieces(text: str) -> list[str]:
    """Cuts a text into what a model streams: words, each with the space before it.

    Args:
        text: The whole text.
    """
    words = text.split(" ")
    return [word if index == 0 else f" {word}" for index, word in enumerate(words)]
