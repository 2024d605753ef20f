"""Why a database cannot be opened, for the operator who starts or initialises a centre."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from secureflow.adapters.database.connections import spoken
from secureflow.adapters.database.faults import fault_of
from secureflow.kit import disk
from secureflow.kit.errors import InfrastructureError, SecureFlowError
from secureflow.kit.oserrors import reason_of
from secureflow.kit.text import Text

START_SECONDS: Final = 2.0
"""How long a start waits for another writer before it fails."""
_PASSING: Final = ("starting up", "shutting down", "recovery", "too many clients", "slots are res")
"""Messages of temporary refusals by PostgreSQL, for which libpq gives no SQLSTATE."""
_REFUSED: Final = "FATAL:"
_NEVER: Final = ("SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_PERM", "SQLITE_IOERR")
_ENCODING: Final = "UTF8"


def open_error(
    name: str, error: sa.exc.DBAPIError | OSError, folder: Path | None = None
) -> SecureFlowError:
    """Return the error that says why a database cannot be opened.

    Args:
        name: its URL without a password.
        error: the exception of opening it.
        folder: of a SQLite database.

    Returns:
        An `InfrastructureError` if it is temporary.
    """
    if isinstance(error, OSError):
        return _unavailable(SecureFlowError, name, reason_of(error))
    reason = spoken(error.orig).partition("\n")[0]
    fault = fault_of(error)
    if (fault is not None and fault.code == disk.FULL) or _lacks_room(error.orig, folder):
        return InfrastructureError(
            disk.FULL,
            Text("The database {name} cannot grow: its disk is full.", name=name),
            "Free space there.",
        )
    if fault is None or _stays(error, str(error.orig)):
        return _unavailable(SecureFlowError, name, reason)
    if fault.code == "database_busy":
        return InfrastructureError(
            fault.code,
            Text("The database {name} is locked by another process.", name=name),
            "End the other process that writes to it: a second server, a backup, a shell.",
        )
    return _unavailable(InfrastructureError, name, reason)


def check_encoding(connection: sa.Connection, name: str) -> None:
    """Refuse a PostgreSQL database that does not store text as Unicode.

    Raises:
        SecureFlowError: `database_encoding`.
    """
    if connection.dialect.name != "postgresql":
        return
    found = connection.exec_driver_sql("SHOW server_encoding").scalar_one()
    found = found.decode("ascii") if isinstance(found, bytes) else str(found)
    if found != _ENCODING:
        raise SecureFlowError(
            "database_encoding",
            Text(
                "The database {name} stores text as {found}, not as {encoding}: names in "
                "other scripts than the Latin one would be lost.",
                name=name,
                found=found,
                encoding=_ENCODING,
            ),
            "Create another one: createdb --encoding UTF8 --template template0 NAME.",
        )


def _lacks_room(error: BaseException | None, folder: Path | None) -> bool:
    """Tell whether SQLite had no room for its auxiliary files.

    It reports that it cannot open the database, or an I/O error.
    """
    if not isinstance(error, sqlite3.Error) or folder is None:
        return False
    if not os.access(folder, os.W_OK | os.X_OK):  # that is why
        return False
    known = disk.fault_of(error, disk.Place(folder, "own record"))
    return known is not None and known.code == disk.FULL


def _stays(error: sa.exc.DBAPIError, text: str) -> bool:
    """Tell whether waiting is useless: the service, or the file, refuses for good."""
    if getattr(error.orig, "sqlite_errorname", "").startswith(_NEVER):
        return True
    return _REFUSED in text and not any(words in text for words in _PASSING)


def _unavailable(of: type[SecureFlowError], name: str, reason: str) -> SecureFlowError:
    return of(
        "database_unavailable",
        f"The database {name} cannot be opened: {reason}",
        "Check the path or address, the permissions and that the service runs.",
    )
