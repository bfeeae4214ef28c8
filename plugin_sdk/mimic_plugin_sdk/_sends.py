"""What became of each message of the persona: the order of its receipts, and their repetition."""

import logging
from collections.abc import Iterable, Iterator
from typing import TypeAlias

from mimic.adapter.v1.conversation_pb2 import ReceiptStatus

from mimic_plugin_sdk._convert_event import DELIVERED, FAILED, READ, SENT

_SETTLING = (SENT, FAILED)
_logger = logging.getLogger("mimic_plugin_sdk")

Status: TypeAlias = ReceiptStatus.ValueType


class Sends:
    """The Sends of one session, by id, each with the receipts that it got.

    Holds the contract's order: SENT or FAILED exactly once, DELIVERED and READ only after SENT, each once.
    """

    __slots__ = ("_receipts", "_stored")

    def __init__(self, stored: Iterable[str] = (), unsettled: Iterable[str] = ()) -> None:
        """Begin, with what the host knows of a session of another process.

        Args:
            stored: Ids whose SENT or FAILED the host has stored: not new, and nothing to repeat.
            unsettled: Ids that are to be settled without another Send.
        """
        self._receipts: dict[str, list[tuple[Status, bytes]]] = {message_id: [] for message_id in unsettled}
        self._stored = frozenset(stored)

    def accept(self, message_id: str) -> bool:
        """Note a Send. Returns False when its id was seen already, so that nothing is to be sent."""
        if message_id in self._receipts or message_id in self._stored:
            return False
        self._receipts[message_id] = []
        return True

    def allow(self, message_id: str, status: Status) -> bool:
        """Say whether a receipt may be told now. Returns False, with a line in the log, where it may not."""
        told = self._receipts.get(message_id)
        if status in _SETTLING:
            if told is not None and not told:
                return True
            problem = "it was settled before" if told or message_id in self._stored else "no such Send came"
        else:
            last = told[-1][0] if told else SENT if message_id in self._stored else FAILED
            # A DELIVERED that comes after READ is late, and no defect.
            if last != FAILED:
                return last == SENT or (last == DELIVERED and status == READ)
            problem = "it was not sent"
        _logger.warning("ignored a receipt for message %r: %s", message_id, problem)
        return False

    def note(self, message_id: str, status: Status, event: bytes) -> None:
        """Keep a receipt that was told, for its repetition.

        Args:
            message_id: The Send's id.
            status: What became of it.
            event: The event that told it.
        """
        self._receipts.setdefault(message_id, []).append((status, event))

    def told(self, message_id: str) -> list[bytes]:
        """Return the events that told what became of a Send, oldest first; none while none did."""
        return [event for _, event in self._receipts.get(message_id, ())]

    def missing(self) -> Iterator[str]:
        """Return the ids of Sends that have no receipt, in the order they came."""
        return (message_id for message_id, told in self._receipts.items() if not told)
