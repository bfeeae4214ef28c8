"""The adapter keeps the contract, rule by rule."""

import sys

from mimic_plugin_sdk.testing import AgentProcess
from mimic_plugin_sdk.testing.pytest_plugin import conformance

from tests.support.processes import ROOT

_COMMAND = [sys.executable, "-m", "mimic_adapter_websocket"]
_AGENT = AgentProcess([sys.executable, "-m", "tests.adapters.websocket.kit_agent"], witness=True, cwd=ROOT)

test_websocket = conformance(
    command=_COMMAND,
    agent=_AGENT,
    settings=lambda agent: {
        "url": agent.info["url"],
        "token": "conformance-token",
        "hello": [{"expect": "ready"}],
        "resume": {"query": {"again": "1"}, "resumed": "$.resumed", "within_seconds": 1},
        "typing": '{"type": "typing"}',
        "read": '{"type": "read", "id": {{ read_id }}}',
    },
    bad_settings={"url": "ftp://127.0.0.1/", "send": ["{{ nothing }}"], "reply": {"text": "$["}},
    talkative="say {n}",
)
