"""Notifications, what people want to be told, webhooks, and deliveries on their way."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0016"

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "notifications",
        sa.Column("id", _BIG, primary_key=True),
        sa.Column("event", sa.Text, nullable=False),
        sa.Column("user", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("at", _BIG, nullable=False),
        sa.Column("read", _BIG),
        sa.Column("facts", sa.Text, nullable=False),
        sa.UniqueConstraint("event", "user"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_notifications_user_id", "notifications", ["user", "id"])
    _entity("preferences")
    _entity("webhooks", "organisation")
    _entity("deliveries", "channel", "target", "organisation", "state", due=True)


def _entity(name: str, *filters: str, due: bool = False) -> None:
    op.create_table(
        name,
        sa.Column("id", sa.Text, primary_key=True),
        *(sa.Column(column, sa.Text, nullable=False) for column in filters),
        *([sa.Column("key", sa.Text, nullable=False, unique=True)] if due else []),
        *([sa.Column("due", _BIG, nullable=False)] if due else []),
        sa.Column("version", _BIG, nullable=False),
        sa.Column("doc", sa.Text, nullable=False),
    )
    for column in (*filters, *(["due"] if due else [])):
        op.create_index(f"ix_{name}_{column}", name, [column])
