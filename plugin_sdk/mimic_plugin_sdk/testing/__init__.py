"""The conformance kit: shows over the wire that an adapter, in any language, keeps Mimic's contract.

From a shell: `mimic-adapter-conformance --help`. From pytest, one line in an adapter's tests, each rule
becoming a test of its own (see `mimic_plugin_sdk.testing.pytest_plugin`):

    test_conformance = conformance(
        command=[sys.executable, "-m", "mimic_adapter_rest"],
        agent=AgentProcess([sys.executable, "-m", "my_tests.agent"]),
        settings=lambda agent: {"url": agent.info["url"]},
    )
"""

from mimic_plugin_sdk.testing._agent import AgentProcess
from mimic_plugin_sdk.testing._subject import Agent, Received, RunningAgent, Subject

__all__ = ["Agent", "AgentProcess", "Received", "RunningAgent", "Subject"]
