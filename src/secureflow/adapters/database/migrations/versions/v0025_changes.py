"""The feed of changes that open pages follow; lists of thousands: what is searched, and indexes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import sqlalchemy as sa
from alembic import op

from secureflow.domain.references import references_of

revision = "0025"
down_revision = "0024"

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


_LISTS: Final = {
    "users": (("organisation", "id"), ("id", "name", "display")),
    "datasets": (("organisation", "id", "state"), ("id", "name", "title", "organisation")),
    "jobs": (("project", "id", "state", "kind", "submitter"), ("id", "name", "submitter")),
    "models": (("project", "id", "job", "name"), ("id", "name", "family")),
}
"""By table: the columns of its list's index, and what a search looks at."""
_BATCH: Final = 200


def upgrade() -> None:
    """Create the table of changes; add the columns and indexes of lists."""
    _create_changes()
    for table, (indexed, searched) in _LISTS.items():
        added: list[sa.Column[Any]] = [
            sa.Column("created", _BIG, nullable=False, server_default="0")
        ]
        added.append(sa.Column("words", sa.Text, nullable=False, server_default=""))
        if table == "jobs":
            added.append(sa.Column("submitter", sa.Text, nullable=False, server_default=""))
        for column in added:
            op.add_column(table, column)
        _fill(table, searched)
        op.create_index(f"ix_{table}_list", table, [*indexed, "created", "words"])
        op.create_index(f"ix_{table}_all", table, [*indexed[1:], "created", "words"])
    for name in ("kind", "author", "at"):
        op.create_index(f"ix_log_leaves_{name}_number", "log_leaves", [name, "number"])


def _fill(table: str, searched: tuple[str, ...]) -> None:
    connection = op.get_bind()
    submitter = ", submitter = :submitter" if table == "jobs" else ""
    change = f"UPDATE {table} SET created = :created, words = :words{submitter} WHERE id = :id"  # noqa: S608
    for row in _rows(connection, table):
        document = _document(row.doc)
        words = [str(document.get(name, "")) for name in searched]
        if table == "jobs" and isinstance(document.get("spec"), dict):
            words += references_of(document["spec"])
        said = "\n".join(words).casefold()
        filled = {"id": row.id, "created": document.get("created", 0), "words": said}
        if submitter:
            filled["submitter"] = str(document.get("submitter", ""))
        connection.execute(sa.text(change), filled)


def _rows(connection: sa.Connection, table: str) -> Iterator[Any]:
    last = ""
    query = sa.text(
        f"SELECT id, doc FROM {table} WHERE id > :last ORDER BY id LIMIT {_BATCH}"  # noqa: S608
    )
    while rows := connection.execute(query, {"last": last}).all():
        yield from rows
        last = rows[-1].id


def _document(text: Any) -> dict[str, Any]:
    """Return a stored document; of a damaged one nothing can be searched."""
    try:
        found = json.loads(text)
    except (TypeError, ValueError):
        return {}
    whole = isinstance(found, dict) and type(found.get("created")) is int
    return found if whole else {}


def _create_changes() -> None:
    op.create_table(
        "changes",
        sa.Column("id", _BIG, primary_key=True),
        sa.Column("tx", _BIG, nullable=False),
        sa.Column("mark", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("about", sa.Text, nullable=False),
        sa.Column("ref", _BIG, nullable=False),
        sa.Column("data", sa.Text, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_changes_tx_id", "changes", ["tx", "id"])
