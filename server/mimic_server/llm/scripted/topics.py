"""What an agent is about, by the words of its description."""

from __future__ import annotations

import enum
import re


class Topic(enum.Enum):
    """Something that customers write about."""

    ORDERS = "orders"
    REFUNDS = "refunds"
    HOURS = "opening hours"
    ADDRESS = "addresses"


_WORDS = {
    Topic.ORDERS: re.compile(
        r"\border|\bdeliver|\bship|\bparcel|\bpackage|\btracking|\bpurchase", re.IGNORECASE
    ),
    Topic.REFUNDS: re.compile(r"refund|money back|\breturn|reimburs", re.IGNORECASE),
    Topic.HOURS: re.compile(r"opening|\bopen\b|\bhours\b|\bstore\b|\bshop\b", re.IGNORECASE),
    Topic.ADDRESS: re.compile(r"\baddress", re.IGNORECASE),
}


def topics_of(text: str) -> frozenset[Topic]:
    """The topics that a text speaks of."""
    return frozenset(topic for topic, pattern in _WORDS.items() if pattern.search(text))
