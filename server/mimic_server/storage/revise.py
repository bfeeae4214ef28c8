"""Drafts a migration from what the tables have and the migrations lack.

python -m mimic_server.storage.revise "why"
"""

from __future__ import annotations

import sys

from alembic import command

from mimic_server.storage import schema
from mimic_server.storage.check_migrations import migrated


def main() -> None:
    """Writes the draft beside the other revisions; read it before you commit it."""
    with migrated() as connection:
        config = schema.configuration(connection)
        newest = int(next(iter(schema.revisions()), "0"))
        command.revision(config, sys.argv[1], autogenerate=True, rev_id=f"{newest + 1:04}")


if __name__ == "__main__":
    main()
