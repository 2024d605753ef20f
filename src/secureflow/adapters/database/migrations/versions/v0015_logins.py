"""Logins of programs (refresh, device flow), and second factors; no secret is stored in clear."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the tables."""
    _create("families", "user", expiring=True)
    _create("devices", "code", "user", unique=("digest",), expiring=True)
    _create("second_factors")


def _create(name: str, *filters: str, unique: tuple[str, ...] = (), expiring: bool = False) -> None:
    op.create_table(
        name,
        sa.Column("id", sa.Text, primary_key=True),
        *(sa.Column(column, sa.Text, nullable=False) for column in filters),
        *(sa.Column(column, sa.Text, nullable=False, unique=True) for column in unique),
        *([sa.Column("expires", _BIG, nullable=False)] if expiring else []),
        sa.Column("version", _BIG, nullable=False),
        sa.Column("doc", sa.Text, nullable=False),
    )
    for column in (*filters, *(["expires"] if expiring else [])):
        op.create_index(f"ix_{name}_{column}", name, [column])
