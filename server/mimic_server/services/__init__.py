"""Use cases. They know only the domain and what simulates and evaluates."""
