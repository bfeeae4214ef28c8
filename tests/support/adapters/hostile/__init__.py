"""An adapter that does an adapter's worst. Written on grpcio and sockets alone, with nothing of the SDK.

Its behaviour is its channel: `python -m tests.support.adapters.hostile <behaviour>`. `__main__.py` has those
of the process, `service.py` those of its calls, and `talk.py` those of single conversations, which a
persona's name or words ask for.
"""
