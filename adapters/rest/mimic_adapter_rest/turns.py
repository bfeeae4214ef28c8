"""When the agent's turn is over."""

import asyncio

from mimic_plugin_sdk import Conversation

from mimic_adapter_rest.profile import CallbackShape
from mimic_adapter_rest.settings import RestSettings


class Turns:
    """Tells the host when the agent has finished: with the answer, with the last callback, or by quiet."""

    def __init__(self, conversation: Conversation[RestSettings], callback: CallbackShape | None) -> None:
        """Make one.

        Args:
            conversation: The host's side.
            callback: How callbacks are read. None: there are none.
        """
        self._conversation = conversation
        self._with_answer = callback is None or callback.settings.ends == "answer"
        self._by_mark = callback is not None and callback.last is not None
        self._quiet_seconds = callback.settings.quiet_seconds if callback is not None else 0
        self._message_id = ""
        self._more = False
        self._in_flight = False
        self._open = False
        self._owed = 0
        self._spoke = False
        self._timer: asyncio.TimerHandle | None = None

    def begins(self, message_id: str, *, more: bool) -> None:
        """Note a request.

        Args:
            message_id: Id of its last message.
            more: Further messages of the turn follow.
        """
        if not self._open:
            self._owed = 0
            self._spoke = False
        self._message_id = message_id
        self._more = more
        self._in_flight = self._open = True
        self._owed += 1
        self.stop()

    def fails(self) -> None:
        """Note that the request did not leave."""
        self._in_flight = False
        self._owed -= 1

    def answered(self) -> None:
        """Note that the request was answered."""
        self._in_flight = False
        if self._with_answer or (self._by_mark and self._owed <= 0):
            self._complete()
        elif self._spoke and not self._by_mark:
            self._wait()

    def called(self, *, last: bool) -> None:
        """Note a callback.

        Args:
            last: It says that it is the last one for a request.
        """
        self._spoke = True
        if self._by_mark:
            self._owed -= last
            if self._owed <= 0 and last:
                self._complete()
        elif not self._with_answer:
            self._wait()

    def stop(self) -> None:
        """Wait for no quiet any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wait(self) -> None:
        self.stop()
        self._timer = asyncio.get_running_loop().call_later(self._quiet_seconds, self._complete)

    def _complete(self) -> None:
        if self._open and not self._in_flight and not self._more:
            self._open = False
            self._conversation.turn_complete(self._message_id)
