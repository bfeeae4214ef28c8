"""Whose turn it is: when the agent's turn is over."""

from __future__ import annotations

from mimic_server.domain.messages import WireTime

LEARNED_MARGIN = 1.5
"""A pause of the agent's is expected to come again half as long again."""


class TurnTaking:
    """Decides when the agent's turn is over, and learns its pauses within a session.

    A turn ends when the channel says so; else when nothing came for `quiet` seconds after the agent's first
    message; and always `timeout` seconds after it began. Times are the event loop's, in seconds.
    """

    def __init__(self, quiet: float, timeout: float, *, channel_tells: bool) -> None:
        self.quiet = quiet
        self.timeout = timeout
        self.channel_tells = channel_tells
        """True: quiet says nothing, since the adapter tells when the agent has finished."""
        self._began = 0.0
        self._last_sign: float | None = None
        self._spoke = False
        self._last_byte: WireTime | None = None

    def begin(self, now: float) -> None:
        """The persona has spoken."""
        self._began = now
        self._last_sign = None
        self._spoke = False
        self._last_byte = None

    @property
    def spoke(self) -> bool:
        """Whether the agent said anything in this turn."""
        return self._spoke

    def heard(self, first_byte: WireTime, last_byte: WireTime, now: float) -> None:
        """The agent said something."""
        if self._last_byte is not None and (pause := self._last_byte.ms_until(first_byte)) is not None:
            self.quiet = min(max(self.quiet, pause / 1000 * LEARNED_MARGIN), self.timeout)
        self._last_byte = last_byte
        self._last_sign = now
        self._spoke = True

    def typing(self, now: float) -> None:
        """The agent is typing: it has not finished."""
        if self._last_sign is not None:
            self._last_sign = now

    def deadline(self) -> float:
        """When the turn is over if nothing comes any more."""
        end = self._began + self.timeout
        if self.channel_tells or self._last_sign is None:
            return end
        return min(end, self._last_sign + self.quiet)
