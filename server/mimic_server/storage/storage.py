"""The storage port on a SQL database."""

from __future__ import annotations

from typing import Self


class SqlStorage:
    """The `Storage` port, on SQLite or PostgreSQL."""

    @classmethod
    async def open(cls, url: str, *, pool_size: int = 5, migrate: bool = True) -> Self:
        """Opens the database and brings its schema up to date.

        Args:
            url: `sqlite:///path`, or an address of PostgreSQL as `postgresql://user@host/database`.
            pool_size: Connections that this process holds for reading and for API calls.
            migrate: False: an older schema is refused instead of migrated.

        Raises:
            PreconditionError: The schema is newer than this version of Mimic, or is not Mimic's.
            InvalidInputError: `url` is not an address of a database that Mimic speaks to.
            UnavailableError: The database cannot be reached, or its file cannot be opened.
        """
        raise NotImplementedError(url, pool_size, migrate)
