"""Identities of people at identity providers, and logins that wait for their answer."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "identities",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("user", sa.Text, nullable=False),
        sa.Column("version", _BIG, nullable=False),
        sa.Column("doc", sa.Text, nullable=False),
    )
    op.create_index("ix_identities_user", "identities", ["user"])
    op.create_table(
        "pending_logins",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("expires", _BIG, nullable=False),
        sa.Column("version", _BIG, nullable=False),
        sa.Column("doc", sa.Text, nullable=False),
    )
    op.create_index("ix_pending_logins_expires", "pending_logins", ["expires"])
