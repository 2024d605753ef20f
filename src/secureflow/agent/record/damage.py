"""Damage of the agent's record: named, never a traceback; a broken row does not hide others."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from secureflow.kit.errors import SecureFlowError
from secureflow.kit.plain import shown
from secureflow.kit.text import Text

CHECK: Final = "Find what is damaged with: secureflow agent check. Restore the newest backup."
_DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


def damaged(what: str) -> SecureFlowError:
    """Return the error of a record, or of a part of it, that cannot be read.

    `what` is shown as it is: the caller escapes what is foreign in it.
    """
    return SecureFlowError(
        "record_damaged", Text("The agent's record is damaged: {what}.", what=what), CHECK
    )


def load_json(text: Any, what: str) -> Any:
    """Return a stored JSON value.

    Raises:
        SecureFlowError: `record_damaged`.
    """
    try:
        return json.loads(text)
    except (ValueError, TypeError, RecursionError) as error:
        raise damaged(Text("{what} cannot be read", what=what)) from error


def fact_named(name: str) -> str:
    """Return how a fact of the record is called where it cannot be read."""
    return Text("the fact {name}", name=shown(name))


def facts_of(text: Any) -> Any:
    """Return an action's facts; for a damaged one only the error."""
    try:
        return load_json(text, "an action")
    except SecureFlowError:
        return {"damaged": True}


def decoded(data: bytes) -> str:
    """Return a stored text; bytes that are not UTF-8 must not prevent reading other rows."""
    return data.decode("utf-8", "surrogateescape")


@contextmanager
def typed_damage(path: Path) -> Iterator[None]:
    """Turn SQLite's errors about a damaged file into an error that names it.

    Raises:
        SecureFlowError: `record_damaged`.
    """
    try:
        yield
    except UnicodeDecodeError as error:  # the driver quotes a damaged schema
        raise damaged(Text("{path}: its schema cannot be read", path=shown(str(path)))) from error
    except sqlite3.DatabaseError as error:
        if is_damage(error):
            raise damaged(
                Text("{path}: {error}", path=shown(str(path)), error=shown(str(error)))
            ) from error
        raise


def is_damage(error: sqlite3.Error) -> bool:
    """Return whether SQLite found its file damaged."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED


def require_head(head: Any, *, proved: bool) -> None:
    """Refuse a record with proved leaves but without a head: it would accept any other history.

    Raises:
        SecureFlowError: `record_damaged`.
    """
    if proved and not (isinstance(head, dict) and head.get("note")):
        raise damaged("it holds proved leaves and no head of the log")
