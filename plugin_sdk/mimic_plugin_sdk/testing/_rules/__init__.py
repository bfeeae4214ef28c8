"""The rules, one module for each part of the contract. Importing this registers them, in their order."""

from mimic_plugin_sdk.testing._rule import RULES

from mimic_plugin_sdk.testing._rules import (  # isort: skip - the order of the report
    launch,
    service,
    connections,
    opening,
    messages,
    resuming,
    closing,
    tolerance,
    failures,
    ending,
    output,
)

__all__ = [
    "RULES",
    "closing",
    "connections",
    "ending",
    "failures",
    "launch",
    "messages",
    "opening",
    "output",
    "resuming",
    "service",
    "tolerance",
]
