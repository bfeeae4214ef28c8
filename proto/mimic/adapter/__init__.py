"""The contract between the host and an adapter."""
