"""Jobs can be listed by kind, which each job's document has already."""

from __future__ import annotations

import json

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

_JOBS = sa.table("jobs", *(sa.column(name, sa.Text) for name in ("id", "doc", "kind")))


def upgrade() -> None:
    """Add the column and fill it from the documents."""
    op.add_column("jobs", sa.Column("kind", sa.Text, nullable=False, server_default="training"))
    bind = op.get_bind()
    for key, text in bind.execute(sa.select(_JOBS.c.id, _JOBS.c.doc)).all():
        bind.execute(sa.update(_JOBS).where(_JOBS.c.id == key).values(kind=_kind(text)))
    op.create_index("ix_jobs_kind", "jobs", ["kind"])


def _kind(text: str) -> str:
    """Return the kind of a document; a damaged one is reported when it is read."""
    try:
        doc = json.loads(text)
    except ValueError:
        doc = None
    return str(doc.get("kind", "training")) if isinstance(doc, dict) else "training"
