"""Browser sessions; their secrets are stored as digests only."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "sessions",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("user", sa.Text, nullable=False),
        sa.Column("digest", sa.Text, nullable=False, unique=True),
        sa.Column("expires", _BIG, nullable=False),
        sa.Column("version", _BIG, nullable=False),
        sa.Column("doc", sa.Text, nullable=False),
    )
    for name in ("user", "expires"):
        op.create_index(f"ix_sessions_{name}", "sessions", [name])
