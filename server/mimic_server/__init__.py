"""Mimic's core server."""
