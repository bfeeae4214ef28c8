"""Which rule is broken."""

import sys

BROKEN = sys.argv[sys.argv.index("--break") + 1] if "--break" in sys.argv else ""
"""The rule's id, perhaps with ":" and which way. Empty: none."""


def breaks(rule: str) -> bool:
    """Whether this rule is to be broken in this way."""
    return rule == BROKEN
