"""What a database contains, read before anything is created or migrated in it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import URL

from secureflow.adapters.database.engine import Database
from secureflow.adapters.database.log_store import place
from secureflow.adapters.database.openerrors import check_encoding
from secureflow.adapters.database.tables import LOG_HEAD, LOG_NODES, SETTINGS
from secureflow.engines.ledger import merkle

IDENTITY: Final = "record"
"""The setting with this database's unique identity."""


@dataclass(frozen=True)
class RecordSummary:
    """A summary of an existing record.

    Args:
        identity: empty if an older version made it.
        origin: the log's.
        size: the log's.
        root: of the log at the requested size; empty if the log is smaller.
    """

    identity: str
    origin: str
    size: int
    root: str


async def read_summary(database: Database, at: int = 0) -> RecordSummary | None:
    """Return a database's summary, with the log's root at a size; None if it is empty.

    Nothing is created: a missing SQLite file stays missing, and one of 0 bytes keeps its
    write-ahead log, which SQLite would remove.

    Raises:
        SecureFlowError: `database_unavailable`, `database_encoding`.
    """
    if _no_bytes(database.url):
        return None
    async with database.reached(), database.engine.connect() as connection:
        await connection.run_sync(check_encoding, database.name)
        return await connection.run_sync(read_open_summary, at)


async def claim_identity(database: Database, fresh: str) -> str:
    """Return the identity of a started database; without one it gets the fresh one."""
    async with database.begin() as unit:
        if (known := await unit.setting(IDENTITY)) is not None:
            return str(known)
    async with database.begin() as unit:  # another server may do the same now: the first one wins
        await unit.insert_once(SETTINGS, {"name": IDENTITY, "version": 1, "value": fresh})
        await unit.commit()
    async with database.begin() as unit:
        return str(await unit.setting(IDENTITY))


def _no_bytes(url: URL) -> bool:
    if url.get_backend_name() != "sqlite" or not url.database:
        return False
    try:
        return not Path(url.database).stat().st_size
    except FileNotFoundError:
        return True


def read_open_summary(connection: sa.Connection, at: int) -> RecordSummary | None:
    """Return the summary of an open database; see `read_summary`."""
    tables = set(sa.inspect(connection).get_table_names())
    if not {LOG_HEAD.name, LOG_NODES.name, SETTINGS.name} <= tables:
        return None
    head = connection.execute(sa.select(LOG_HEAD.c.origin, LOG_HEAD.c.size)).first()
    if head is None:
        return None
    named = sa.select(SETTINGS.c.value).where(SETTINGS.c.name == IDENTITY)
    identity = connection.execute(named).scalar() or ""
    root = _root(connection, at) if at <= head.size else ""
    return RecordSummary(str(identity), head.origin, head.size, root)


def _root(connection: sa.Connection, size: int) -> str:
    """Return the root of the stored nodes; empty if one of them is missing."""
    places = {place(*node): node for node in merkle.frontier(size)}
    rows = connection.execute(sa.select(LOG_NODES).where(LOG_NODES.c.place.in_(places)))
    nodes = {places[row.place]: bytes(row.hash) for row in rows}
    if len(nodes) < len(places):
        return ""
    return merkle.root(size, lambda level, index: nodes[level, index]).hex()
