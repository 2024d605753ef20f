"""Every whole number gets 64 bits in PostgreSQL too: SQLite's INTEGER never had fewer."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_ENTITIES = (
    "users", "tokens", "organisations", "enrolments", "agents",
    "projects", "datasets", "grants", "jobs", "models", "settings",
)  # fmt: skip
_NARROW = (
    *((table, "version") for table in _ENTITIES),
    ("journal", "seq"),
    ("outbox", "seq"),
    ("idempotency", "status"),
    ("log_head", "one"),
    ("log_submissions", "position"),
)


def upgrade() -> None:
    """Widen them; over SQLite there is nothing to do."""
    if op.get_bind().dialect.name == "postgresql":
        for table, column in _NARROW:
            op.alter_column(table, column, type_=sa.BigInteger)
