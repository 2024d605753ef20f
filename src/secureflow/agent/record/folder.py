"""Checks that the agent's folder and its record belong together, or the agent does not start.

An emptied record would vote twice and spend a budget again under the same key; an older one has
lost earlier commitments. The folder's mark (`kit.recordmark`) detects both.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

from secureflow.agent.record.store import RecordStore
from secureflow.agent.settings import AgentSettings
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.folderlock import folder_lock
from secureflow.kit.heldfile import recovered_hint
from secureflow.kit.recordmark import RecordKeeper, RecordMark, begin_mark, read_mark
from secureflow.kit.text import Text

IDENTITY: Final = "record"
"""The fact that identifies this record."""
_BACK: Final = (
    "Put the newest record back, or restore a backup into a new folder: secureflow agent "
    "restore BACKUP --dir FOLDER (docs/deploy.md lists the restrictions of a restored agent)."
)
LOCK: Final = "agent.lock"


@contextmanager
def locked_folder(directory: Path) -> Iterator[None]:
    """Hold an agent's folder: two agents with one key could vote twice.

    The folder itself is locked: the file in it, which older versions lock, may be removed.

    Raises:
        SecureFlowError: `agent_running`.
    """
    refusal = SecureFlowError(
        "agent_running",
        Text("An agent already runs in {directory}.", directory=directory),
        "Stop it first: one organisation has one agent.",
    )
    with folder_lock(directory, refusal), folder_lock(directory / LOCK, refusal):
        yield


def check_present(settings: AgentSettings) -> None:
    """Refuse an empty record if the folder had one, before anything is written to it.

    Raises:
        SecureFlowError: `record_missing`, `record_mark_malformed`.
    """
    mark = read_mark(settings.directory)
    if mark is None or _tables(settings.record):
        return
    raise SecureFlowError(
        "record_missing",
        Text(
            "The record {record} is missing or empty; this agent had one, with {leaves} "
            "ledger entries of {organisation}.",
            record=settings.record,
            leaves=mark.reached.get("leaves"),
            organisation=settings.organisation,
        ),
        recovered_hint(settings.record) or _BACK,
        {"known": mark.reached.get("leaves")},
    )


def keep_record(store: RecordStore, settings: AgentSettings) -> RecordKeeper:
    """Compare an opened record with the folder's mark, and keep the mark up to date.

    Raises:
        SecureFlowError: `record_foreign`, `record_set_back`, `record_mark_malformed`.
    """
    mark = read_mark(settings.directory)
    identity = store.fact(IDENTITY)
    if mark is not None:
        compare(settings.record, mark, identity, store.reached(), store.has_leaf)
    if identity is None:
        identity = mark.identity if mark else RecordMark.fresh_identity()
        with store.transaction():
            store.set_fact(IDENTITY, identity)
    now = begin_mark(settings.directory, RecordMark(identity, store.reached()))

    async def reached() -> Mapping[str, Any]:
        return await asyncio.to_thread(store.reached)

    async def tidy() -> None:
        await asyncio.to_thread(_checkpoint, settings.record)

    return RecordKeeper(settings.directory, now, reached, tidy, store.lost)


def compare(
    where: Path,
    mark: RecordMark,
    identity: str | None,
    now: Mapping[str, Any],
    has_leaf: Callable[[str], bool],
) -> None:
    """Refuse a record that does not match the folder's mark.

    Args:
        where: the record.
        mark: the folder's.
        identity: the record's.
        now: the record's newest leaf and action (`RecordStore.reached`).
        has_leaf: returns whether it holds an own leaf.

    Raises:
        SecureFlowError: `record_foreign`, `record_set_back`.
    """
    if identity not in {None, mark.identity}:
        raise SecureFlowError(
            "record_foreign",
            Text(
                "The record {where} does not belong to this folder: it is another agent's.",
                where=where,
            ),
            "Put this folder's own record back, or start that agent from its own folder.",
        )
    known = mark.reached
    leaf, leaves, actions = known.get("leaf"), known.get("leaves", 0), known.get("deeds", 0)
    if now["leaves"] < leaves or now["deeds"] < actions or (leaf and not has_leaf(leaf)):
        raise SecureFlowError(
            "record_set_back",
            Text(
                "The record {where} ends at ledger entry {entry} and action {action}; "
                "this folder knows of entry {known_entry} and action {known_action}: the record is"
                " older.",
                where=where,
                entry=now["leaves"],
                action=now["deeds"],
                known_entry=leaves,
                known_action=actions,
            ),
            recovered_hint(where) or _BACK,
            {"leaves": now["leaves"], "known": leaves},
        )


def _tables(path: Path) -> bool:
    """Return whether a record has tables; an unreadable one is reported by `RecordStore`."""
    try:
        if not path.stat().st_size:
            return False
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
            return bool(database.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0])
    except FileNotFoundError:
        return False
    except (OSError, sqlite3.DatabaseError):
        return True


def _checkpoint(path: Path) -> None:
    """Bring the file up to date with its write-ahead log; other users of it are not interrupted."""
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=rw", uri=True)) as database:
        database.execute("PRAGMA wal_checkpoint(PASSIVE)")
