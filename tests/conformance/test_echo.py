"""The SDK's smallest example keeps the contract, as an author shows it: in one line."""

import sys

from mimic_plugin_sdk.testing.pytest_plugin import conformance

from tests.support.processes import ROOT

test_echo = conformance(
    command=[sys.executable, "-m", "examples.echo_adapter"], env={"PYTHONPATH": str(ROOT)}
)
