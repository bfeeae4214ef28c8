"""Which messages of the persona the agent still owes the end of a turn for."""

from collections import deque
from typing import Any

from mimic_plugin_sdk import Conversation


class Turns:
    """Counts what the agent has to finish, where its frames tell when it has."""

    def __init__(self, conversation: Conversation[Any], *, for_each_message: bool) -> None:
        """Begin.

        Args:
            conversation: Where the end of a turn is told.
            for_each_message: The agent finishes each message, also one with more to follow.
        """
        self._conversation = conversation
        self._for_each_message = for_each_message
        self._owed: deque[tuple[str, bool]] = deque()
        self._answered = ""
        self._forgiven = False

    @property
    def busy(self) -> bool:
        """Whether the agent has something to finish."""
        return bool(self._owed) and not self._forgiven

    def forgive(self) -> None:
        """Note that the end of what is owed may have been lost with a socket."""
        self._forgiven = True

    def said(self, message_id: str, *, more: bool) -> None:
        """Note that a message was sent.

        Args:
            message_id: Its id; of messages that were joined, the last one's.
            more: More of the same turn follows.
        """
        self._forgiven = False
        if self._for_each_message or not more:
            self._owed.append((message_id, more))

    def answered(self, message_id: str) -> None:
        """Note that the agent named the message that it answers.

        Args:
            message_id: The message's id. Empty: it named none.
        """
        self._answered = message_id or self._answered

    def over(self) -> None:
        """Note that the agent has finished; told, unless the persona has not, or nothing was owed."""
        owed = self._owed
        answered, self._answered = self._answered, ""
        if not owed:
            return
        finished, more = owed.popleft()
        if any(message_id == answered for message_id, _ in owed):
            while finished != answered:
                finished, more = owed.popleft()
        if not more:
            self._conversation.turn_complete(finished)
