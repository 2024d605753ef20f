"""Code bundles of projects; the packings are among the artifacts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_FILTERS = ("project", "organisation", "digest")


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "bundles",
        sa.Column("id", sa.Text, primary_key=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in _FILTERS),
        sa.Column("expires", _BIG, nullable=False),
        sa.Column("version", _BIG, nullable=False),
        sa.Column("doc", sa.Text, nullable=False),
    )
    for name in (*_FILTERS, "expires"):
        op.create_index(f"ix_bundles_{name}", "bundles", [name])
