"""Statements of members about what they anchored."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_FILTERS = ("organisation", "place", "kind", "job")


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "anchor_statements",
        sa.Column("id", sa.Text, primary_key=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in _FILTERS),
        sa.Column("digest", sa.Text, nullable=False, unique=True),
        sa.Column("version", _BIG, nullable=False),
        sa.Column("doc", sa.Text, nullable=False),
    )
    for name in _FILTERS:
        op.create_index(f"ix_anchor_statements_{name}", "anchor_statements", [name])
