"""Mimic's adapter for agents that are served over WebSocket."""
