"""The database: tables, repositories, the sessions' journal and migrations, on SQLite and PostgreSQL."""

from mimic_server.storage.directory import DataDirectory
from mimic_server.storage.storage import SqlStorage

__all__ = ["DataDirectory", "SqlStorage"]
