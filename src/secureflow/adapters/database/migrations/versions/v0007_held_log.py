"""A log that was rolled back is held: the one row that the sequencer locks says why."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0003"


def upgrade() -> None:
    """Add the column; no log is held yet."""
    op.add_column("log_head", sa.Column("hold", sa.Text))
