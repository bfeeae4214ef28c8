"""Runs migrations on the connection that `mimic_server.storage.schema` hands over."""

from __future__ import annotations

from typing import Any, Literal

from alembic import context
from sqlalchemy import TypeDecorator

from mimic_server.storage.tables import metadata
from mimic_server.storage.types import UtcDateTime


def _plain_type(kind: str, item: Any, _: Any) -> str | Literal[False]:
    """Writes Mimic's own types as the plain ones below them: a migration must mean the same for ever."""
    if kind == "type" and isinstance(item, UtcDateTime):
        return "_MOMENT"
    if kind == "type" and isinstance(item, TypeDecorator):
        return f"sa.{item.impl_instance.__class__.__name__}()"
    return False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_item=_plain_type,
    render_as_batch=True,
    transactional_ddl=False,  # the caller's transaction holds all revisions, or none
)
context.run_migrations()
