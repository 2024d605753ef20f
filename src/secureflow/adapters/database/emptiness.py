"""Checks that a database is empty before anything is created in it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import URL

from secureflow.adapters.database.connections import driver_url
from secureflow.adapters.database.engine import Database
from secureflow.adapters.database.openerrors import check_encoding
from secureflow.adapters.database.schema import HISTORY
from secureflow.adapters.database.tables import LOG_HEAD, METADATA, USERS
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

_NAMED: Final = 3
"""Maximum number of foreign tables that are named."""


async def require_empty(url: str, log: tuple[str, str] | None = None) -> None:
    """Refuse a database for a new centre unless it is empty, or begun by the same centre.

    Args:
        url: the database.
        log: origin and public key of the log that an earlier attempt may have begun there.

    Raises:
        SecureFlowError: `database_in_use` naming its content, `invalid_database_url`,
            `library_missing`, `database_unavailable`, `database_encoding`.
    """
    database = Database(url)
    if _no_file(database.url):
        return
    try:
        async with database.reached(), database.engine.connect() as connection:
            await connection.run_sync(check_encoding, database.name)
            held = await connection.run_sync(_held, log)
    finally:
        await database.close()
    if held:
        what, hint = held
        raise SecureFlowError(
            "database_in_use",
            Text("The database {name} already holds {what}.", name=database.name, what=what),
            hint,
        )


def refuse_password(url: str) -> None:
    """Keep passwords out of command lines and settings files.

    Raises:
        SecureFlowError: `invalid_database_url`, also if it is not the URL of a database.
    """
    parts = driver_url(url)
    if parts.password is not None or "password" in parts.query:
        raise SecureFlowError(
            "invalid_database_url",
            "The database URL holds a password: others on this machine could read it.",
            "Leave it out, and set SECUREFLOW_SERVER__DATABASE__PASSWORD.",
        )


def _no_file(url: URL) -> bool:
    """Tell whether this is a SQLite file that does not exist: opening it would create it."""
    name = url.database if url.get_backend_name() == "sqlite" else None
    return bool(name) and not Path(name or "").exists()


def _held(connection: sa.Connection, log: tuple[str, str] | None) -> tuple[str, str] | None:
    """Return what is in the way and the next step; None if nothing is."""
    tables = set(sa.inspect(connection).get_table_names())
    if not tables:
        return None
    if HISTORY not in tables or LOG_HEAD.name not in tables:
        strange = sorted(tables - set(METADATA.tables)) or sorted(tables)
        names = ", ".join([*strange[:_NAMED], *(["…"] if len(strange) > _NAMED else [])])
        return (
            Text("tables that SecureFlow did not make ({names})", names=names),
            "Name an empty database of its own: createdb NAME.",
        )
    head = connection.execute(sa.select(LOG_HEAD.c.origin, LOG_HEAD.c.key)).first()
    peopled = connection.execute(sa.select(USERS.c.id).limit(1)).first() is not None
    if head is None and not peopled:  # only the tables: any attempt may continue
        return None
    if head is not None and (head.origin, head.key) == log:
        return None
    name = "without a name" if head is None else head.origin
    if peopled:
        return (
            Text("the centre {name}", name=name),
            "Name an empty database (createdb NAME), or start that centre from its own directory.",
        )
    return (
        Text("the unfinished centre {name}, whose `secureflow server init` did not end", name=name),
        "Run it again on the same directory; if that is lost, drop and recreate the database.",
    )
