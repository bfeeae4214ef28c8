"""Small agents, each a process of its own, that speak the shapes in which agents are served.

Run one with `python -m tests.support.shapes NAME --port 0`; `echo.py` says what they answer.
"""
