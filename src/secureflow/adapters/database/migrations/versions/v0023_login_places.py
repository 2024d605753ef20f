"""From where people log in; whose network each waiting login of a stranger comes from."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0020"

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the table, and the columns of logins that wait: those of before have no network."""
    op.create_table(
        "login_places",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("version", _BIG, nullable=False),
        sa.Column("doc", sa.Text, nullable=False),
    )
    for table in ("devices", "pending_logins"):
        op.add_column(table, sa.Column("block", sa.Text, nullable=False, server_default=""))
        op.create_index(f"ix_{table}_block", table, ["block"])
