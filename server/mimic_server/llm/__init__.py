"""Language models: scripted, OpenAI-compatible, and recorded."""
