"""Alembic's entry: runs the steps on the connection and in the transaction that it is given."""

from __future__ import annotations

from alembic import context

from secureflow.adapters.database.tables import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    render_as_batch=True,
)
context.run_migrations()
