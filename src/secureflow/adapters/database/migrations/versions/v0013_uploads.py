"""Uploaded weights of projects; their bytes are in a store of uploads."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_FILTERS = ("project", "organisation", "digest")


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "uploads",
        sa.Column("id", sa.Text, primary_key=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in _FILTERS),
        sa.Column("expires", _BIG, nullable=False),
        sa.Column("version", _BIG, nullable=False),
        sa.Column("doc", sa.Text, nullable=False),
    )
    for name in (*_FILTERS, "expires"):
        op.create_index(f"ix_uploads_{name}", "uploads", [name])
