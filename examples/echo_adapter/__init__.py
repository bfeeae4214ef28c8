"""The smallest adapter: its agent repeats what it is told."""
