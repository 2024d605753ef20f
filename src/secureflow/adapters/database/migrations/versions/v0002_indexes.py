"""Columns and indexes for lists and quotas; `seq` of an action needs 64 bits."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add them, and fill them from the documents."""
    _add("tokens", "expires", lambda doc: doc["expires"])
    _add("enrolments", "expires", lambda doc: doc["expires"])
    _add("grants", "expires", lambda doc: doc["expires"])
    _add("grants", "state", lambda doc: "revoked" if doc.get("revoked") else "granted")
    _add("datasets", "state", lambda doc: "removed" if doc.get("removed") else "published")
    _add("datasets", "name", lambda doc: doc["name"])
    _memberships()
    # Answers of unknown age count as oldest: the sweeper deletes them.
    op.add_column("idempotency", sa.Column("at", _BIG, nullable=False, server_default="0"))
    op.create_index("ix_idempotency_at", "idempotency", ["at"])
    if op.get_bind().dialect.name == "postgresql":
        op.alter_column("log_submissions", "seq", type_=sa.BigInteger)


def _add(table: str, column: str, of: Callable[[Mapping[str, Any]], Any]) -> None:
    kind = _BIG if column == "expires" else sa.Text()
    default = "0" if column == "expires" else ""
    op.add_column(table, sa.Column(column, kind, nullable=False, server_default=default))
    place = sa.table(table, sa.column("id"), sa.column(column, kind))
    for key, doc in _documents(table):
        change = sa.update(place).where(place.c.id == key).values({column: of(doc)})
        op.get_bind().execute(change)
    op.create_index(f"ix_{table}_{column}", table, [column])


def _memberships() -> None:
    op.create_table(
        "memberships",
        sa.Column("project", sa.Text, primary_key=True),
        sa.Column("organisation", sa.Text, primary_key=True),
        sa.Column("state", sa.Text, nullable=False),
    )
    names = ("project", "organisation", "state")
    place = sa.table("memberships", *(sa.column(name, sa.Text()) for name in names))
    for key, doc in _documents("projects"):
        for one in doc["members"]:
            row = (key, one["organisation"], one["state"])
            op.get_bind().execute(sa.insert(place).values(dict(zip(names, row, strict=True))))
    op.create_index(
        "ix_memberships_organisation", "memberships", ["organisation", "state", "project"]
    )
    op.execute("ALTER TABLE projects DROP COLUMN member")


def _documents(table: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    place = sa.table(table, sa.column("id"), sa.column("doc", sa.Text()))
    for key, text in op.get_bind().execute(sa.select(place)).all():
        yield key, json.loads(text)
