"""An adapter that keeps the contract, on grpcio alone, and that breaks one rule when it is told to.

It shows that the conformance kit does not pass vacuously: `python -m tests.support.adapters.broken --break RULE`.
Its agent is `tests.support.adapters.broken.agent`.
"""
