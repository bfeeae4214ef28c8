"""The scripted model: deterministic answers to every task, without a network and without cost.

It understands English, by patterns alone. It exists so that Mimic runs and can be tested with nothing set up.
"""

from mimic_server.llm.scripted.model import SCRIPTED, ScriptedModel

__all__ = ["SCRIPTED", "ScriptedModel"]
