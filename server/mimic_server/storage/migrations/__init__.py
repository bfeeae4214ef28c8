"""The schema's history, one chain for SQLite and PostgreSQL.

`python -m mimic_server.storage.revise "why"` drafts the next revision from what the tables have and it
lacks; `python -m mimic_server.storage.check_migrations` says whether anything is lacking.
"""
