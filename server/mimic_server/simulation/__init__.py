"""The user simulator: what is asked of the one who plays a persona, and how a persona types."""
