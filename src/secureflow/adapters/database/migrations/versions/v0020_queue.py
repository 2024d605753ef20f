"""Approved jobs wait in a queue for a place to run."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the table; jobs that run already enter it when their driver next starts."""
    op.create_table(
        "queue",
        sa.Column("job", sa.Text, primary_key=True),
        sa.Column("organisation", sa.Text, nullable=False),
        sa.Column("user", sa.Text, nullable=False),
        sa.Column("priority", _BIG, nullable=False),
        sa.Column("since", _BIG, nullable=False),
        sa.Column("not_before", _BIG, nullable=False),
        sa.Column("started", _BIG, nullable=False),
    )
