"""What a transaction noted for the feed of changes, as rows written last before its commit."""

from __future__ import annotations

import functools
import secrets
from typing import Any, Final

import sqlalchemy as sa

from secureflow.adapters.database.tables import CHANGES
from secureflow.application.ports.changes import ChangeKind
from secureflow.kit.canonical import JSON

MOST_KEPT: Final = 100_000
"""Changes that a reader may be behind before it has to start again."""
Noted = dict[tuple[ChangeKind, str, int], dict[str, JSON]]
"""Data by kind, subject and number: the same change is noted once."""


def noted_rows(noted: Noted) -> list[dict[str, Any]]:
    """Return the rows of what was noted; an event says that its job changed, too."""
    told = {about for kind, about, _ in noted if kind is ChangeKind.EVENT}
    return [
        {"mark": secrets.token_hex(5), "kind": kind.value, "about": about, "ref": ref, "data": data}
        for (kind, about, ref), data in noted.items()
        if not (kind is ChangeKind.JOB and about in told)
    ]


@functools.cache
def insert_noted(single_writer: bool) -> sa.Insert:
    """Return the statement for such rows; with several writers it adds the transaction's id."""
    tx = sa.literal(0) if single_writer else transaction_number(sa.func.pg_current_xact_id())
    return sa.insert(CHANGES).values(tx=tx)


def forgotten() -> sa.Delete:
    """Return the statement that deletes what is too old to go on from."""
    newest = sa.select(sa.func.max(CHANGES.c.id)).scalar_subquery()
    return sa.delete(CHANGES).where(CHANGES.c.id <= newest - MOST_KEPT)


def transaction_number(xid: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """Return PostgreSQL's 64-bit transaction id as a number."""
    return sa.cast(sa.cast(xid, sa.Text), sa.BigInteger)
