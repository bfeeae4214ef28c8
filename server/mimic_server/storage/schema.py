"""The schema: brings a database to the newest revision, and refuses one that this version does not know."""

from __future__ import annotations

from importlib import resources

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text

from mimic_server.domain.errors import PreconditionError
from mimic_server.storage.tables import metadata

_POSTGRES_LOCK = 0x6D696D6963


def configuration(connection: Connection | None = None) -> Config:
    """Alembic's configuration, without a file. What runs migrations needs the connection."""
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(resources.files("mimic_server.storage") / "migrations"))
    return config


def revisions() -> list[str]:
    """All revisions that this version knows, the newest first; more than one newest is refused by Alembic."""
    script = ScriptDirectory.from_config(configuration())
    script.get_current_head()
    return [revision.revision for revision in script.walk_revisions()]


def upgrade(connection: Connection, *, migrate: bool) -> str:
    """Brings the database to the newest revision and returns that.

    All of it happens in the caller's transaction.

    Raises:
        PreconditionError: The database is at a revision that this version does not know, has someone else's
            tables of the same names, or is older while `migrate` is False.
    """
    known = revisions()
    newest = known[0]
    if not connection.in_transaction():
        connection.begin()  # or Alembic would begin, and commit, one for each revision
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _POSTGRES_LOCK})
    found = MigrationContext.configure(connection).get_current_revision() or ""
    if found == newest:
        return newest
    if found and found not in known:
        raise PreconditionError(
            "SCHEMA_UNKNOWN",
            f"The database is at schema revision {found}, which this version of Mimic does not know"
            f" (its newest is {newest}): run the newer Mimic that wrote it, or name another database",
        )
    if not found and set(metadata.tables) & set(inspect(connection).get_table_names()):
        raise PreconditionError(
            "SCHEMA_UNKNOWN",
            "The database has tables that are called as Mimic's are and that Mimic did not make:"
            " name another database",
        )
    if not migrate:
        raise PreconditionError(
            "SCHEMA_OUTDATED",
            f"The database is at schema revision {found or '(none)'}, and this version of Mimic needs"
            f" {newest}: start `mimic serve` once, which brings it up to date",
        )
    command.upgrade(configuration(connection), "head")
    return newest
