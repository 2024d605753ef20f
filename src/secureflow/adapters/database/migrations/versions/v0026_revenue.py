"""Revenue: agreements, settlements and what members signed in them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_FILTERS = ("project", "kind", "settlement", "organisation")


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "revenue",
        sa.Column("id", sa.Text, primary_key=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in _FILTERS),
        sa.Column("version", _BIG, nullable=False),
        sa.Column("doc", sa.Text, nullable=False),
    )
    for name in _FILTERS:
        op.create_index(f"ix_revenue_{name}", "revenue", [name])
