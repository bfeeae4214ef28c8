"""An adapter that keeps the contract, on grpcio alone, and that breaks one rule when it is told to.

`python -m tests.support.adapters.broken --break RULE`: the conformance kit does not pass vacuously.
Its agent is `tests.support.adapters.broken.agent`.
"""
