"""Version 1 of the adapter contract."""
