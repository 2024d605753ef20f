"""The first schema: entities, a job's records, the log."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make every table."""
    _entities()
    _records()
    _log()
    _heads()


def _text(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text, nullable=False) for name in names]


def _entity(
    name: str, *indexed: str, unique: tuple[str, ...] = (), plain: tuple[str, ...] = ()
) -> None:
    op.create_table(
        name,
        sa.Column("id", sa.Text, primary_key=True),
        *_text(*indexed),
        *[sa.Column(column, sa.Text, nullable=False, unique=True) for column in unique],
        *_text(*plain),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("doc", sa.Text, nullable=False),
    )
    for column in indexed:
        op.create_index(f"ix_{name}_{column}", name, [column])


def _entities() -> None:
    _entity("users", "organisation", unique=("name",))
    _entity("tokens", "user", unique=("digest",))
    _entity("organisations")
    _entity("enrolments", "organisation", unique=("digest",))
    _entity("agents", "organisation", "party", "kind", "key")
    _entity("projects", "organisation", plain=("member",))
    _entity("datasets", "organisation")
    _entity("grants", "project", "dataset", "organisation")
    _entity("jobs", "project", "organisation", "state", "digest")
    _entity("models", "project", "job", "name")
    op.create_table(
        "settings",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("value", sa.Text),
    )


def _records() -> None:
    op.create_table(
        "journal",
        sa.Column("job", sa.Text, primary_key=True),
        sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
        *_text("digest"),
        sa.Column("answer", sa.Text),
        sa.Column("failure", sa.Text),
    )
    op.create_table(
        "outbox",
        sa.Column("job", sa.Text, primary_key=True),
        sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("party", sa.Text, primary_key=True),
        *_text("verb"),
    )
    op.create_table(
        "events",
        sa.Column("id", _BIG, primary_key=True),
        *_text("job", "kind"),
        sa.Column("at", _BIG, nullable=False),
        *_text("data"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_events_job_id", "events", ["job", "id"])
    op.create_table(
        "idempotency",
        sa.Column("user", sa.Text, primary_key=True),
        sa.Column("key", sa.Text, primary_key=True),
        *_text("request"),
        sa.Column("status", sa.Integer, nullable=False),
        sa.Column("body", sa.Text),
    )


def _log() -> None:
    op.create_table(
        "log_submissions",
        sa.Column("arrival", _BIG, primary_key=True),
        *_text("job"),
        sa.Column("seq", sa.Integer, nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("number", _BIG),
        sa.Column("data", sa.LargeBinary),
        sa.Column("document", sa.Text),
        sa.Column("salt", sa.LargeBinary),
        sa.UniqueConstraint("job", "seq", "position"),
    )
    waiting = sa.text("number IS NULL")
    op.create_index(
        "ix_log_submissions_waiting",
        "log_submissions",
        ["arrival"],
        sqlite_where=waiting,
        postgresql_where=waiting,
    )
    op.create_table(
        "log_leaves",
        sa.Column("number", _BIG, primary_key=True, autoincrement=False),
        sa.Column("hash", sa.LargeBinary, nullable=False, unique=True),
        sa.Column("data", sa.LargeBinary, nullable=False),
        *_text("job", "kind", "author"),
        sa.Column("at", _BIG, nullable=False),
        sa.Column("document", sa.Text),
        sa.Column("salt", sa.LargeBinary),
    )
    op.create_index("ix_log_leaves_job_number", "log_leaves", ["job", "number"])


def _heads() -> None:
    op.create_table(
        "log_head",
        sa.Column("one", sa.Integer, primary_key=True, autoincrement=False),
        *_text("origin", "key"),
        sa.Column("size", _BIG, nullable=False),
    )
    op.create_table(
        "log_nodes",
        sa.Column("place", _BIG, primary_key=True, autoincrement=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "log_checkpoints",
        sa.Column("size", _BIG, primary_key=True, autoincrement=False),
        *_text("note"),
        sa.Column("at", _BIG, nullable=False),
    )
    op.create_table(
        "log_cosignatures",
        sa.Column("size", _BIG, primary_key=True, autoincrement=False),
        sa.Column("name", sa.Text, primary_key=True),
        *_text("line"),
    )
