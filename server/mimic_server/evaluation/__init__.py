"""Evaluations: how a transcript is judged. One file a method."""
