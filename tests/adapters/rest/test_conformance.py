"""The adapter keeps the contract, rule by rule: with answers that come at once, and with ones called back."""

import sys

from mimic_plugin_sdk.testing import AgentProcess
from mimic_plugin_sdk.testing.pytest_plugin import conformance

from tests.adapters.rest.kit_agent import SECRET
from tests.support.processes import ROOT

_COMMAND = [sys.executable, "-m", "mimic_adapter_rest"]
_AGENT = AgentProcess([sys.executable, "-m", "tests.adapters.rest.kit_agent"], witness=True, cwd=ROOT)

test_plain = conformance(
    command=_COMMAND,
    agent=_AGENT,
    settings=lambda agent: {"url": f"{agent.info['url']}/chat", "token": "conformance-token"},
    bad_settings={"url": "ftp://127.0.0.1/", "body": "{{ nothing }}", "reply": {"text": "$["}},
    talkative="say {n}",
)

test_callbacks = conformance(
    command=_COMMAND,
    agent=_AGENT,
    settings=lambda agent: {
        "url": f"{agent.info['url']}/later",
        "body": '{"message": {{ text }}, "callback_url": {{ callback_url }}}',
        "callback": {"ends": "$.final", "secret": SECRET},
    },
    talkative="say {n}",
)
