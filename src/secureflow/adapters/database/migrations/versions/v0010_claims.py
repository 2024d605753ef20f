"""Servers of one database claim the jobs that they drive, and send heartbeats."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the tables; no job is claimed yet."""
    op.create_table(
        "claims",
        sa.Column("job", sa.Text, primary_key=True),
        sa.Column("server", sa.Text, nullable=False),
        sa.Column("called", _BIG, nullable=False),
    )
    op.create_table(
        "servers",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("beats", _BIG, nullable=False),
    )
