"""Checks that the centre's folder and its database belong together before the centre starts.

A missing or empty database would become a new platform under the old key; an older one would be
served as if it were the newest. The folder's mark (`kit.recordmark`) detects both.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from secureflow.adapters.database.engine import Database
from secureflow.adapters.database.log import SqlLedger
from secureflow.adapters.database.summary import RecordSummary, claim_identity, read_summary
from secureflow.engines.ledger.notes import parse_note
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.folderlock import folder_lock
from secureflow.kit.heldfile import recovered_hint
from secureflow.kit.recordmark import RecordKeeper, RecordMark, begin_mark, read_mark
from secureflow.kit.text import Text

BACK = (
    "Put the newest database back, or restore a backup into a new folder: secureflow server "
    "restore BACKUP --dir FOLDER (docs/deploy.md says what members see then)."
)


def serving(directory: Path) -> AbstractContextManager[None]:
    """Lock a centre's folder (shared) while a server runs on it.

    Raises:
        SecureFlowError: `server_running` while a restore works on it.
    """
    refusal = SecureFlowError(
        "server_running",
        Text("A restore is running in {directory}.", directory=directory),
        "Start the server once it has ended.",
    )
    return folder_lock(directory, refusal, shared=True)


def locked_folder(directory: Path) -> AbstractContextManager[None]:
    """Lock a centre's folder exclusively: no server may run on it meanwhile.

    Raises:
        SecureFlowError: `server_running`.
    """
    refusal = SecureFlowError(
        "server_running",
        Text(
            "A server or another restore is running in {directory}: it would write into "
            "what is being replaced.",
            directory=directory,
        ),
        "Stop it first; on PostgreSQL, every server of this database.",
    )
    return folder_lock(directory, refusal)


async def check_record(database: Database, directory: Path, *, new: bool = False) -> None:
    """Refuse a database that is not the folder's, before anything is created or migrated in it.

    Args:
        database: not started yet.
        directory: the centre's.
        new: the centre is being made.

    Raises:
        SecureFlowError: `record_missing`, `record_foreign`, `record_set_back`,
            `record_mark_malformed`, `database_unavailable`.
    """
    mark = read_mark(directory)
    found = await read_summary(database, size_of(mark))
    if found is None and mark is None and new:
        return
    compare(database.name, directory, database.file.path, found, mark)


def compare(
    where: str,
    directory: Path,
    file: Path | None,
    found: RecordSummary | None,
    mark: RecordMark | None,
) -> None:
    """Refuse a database whose content contradicts the folder's mark.

    Args:
        where: the database's name for people.
        directory: the centre's.
        file: of a SQLite database.
        found: None if it is empty.
        mark: the folder's.

    Raises:
        SecureFlowError: `record_missing`, `record_foreign`, `record_set_back`.
    """
    if found is None:
        raise _missing(where, directory, file, mark)
    if mark is None:
        return
    try:
        _compare(where, found, mark)
    except SecureFlowError as error:
        if error.code == "record_set_back":
            error.hint = recovered_hint(file) or error.hint
        raise


def size_of(mark: RecordMark | None) -> int:
    """Return the log size that the folder's mark knows of."""
    return 0 if mark is None else int(mark.reached.get("size", 0))


async def keep_record(database: Database, ledger: SqlLedger, directory: Path) -> RecordKeeper:
    """Give a started database and its folder one identity, and keep the mark up to date."""
    identity = await claim_identity(database, RecordMark.fresh_identity())
    mark = RecordMark(identity, log_reached(await ledger.head()))

    async def reached() -> Mapping[str, Any]:
        note = ledger.committed
        return mark.reached if note is None else log_reached(note)

    written = begin_mark(directory, mark)
    return RecordKeeper(directory, written, reached, database.checkpoint, database.lost)


def log_reached(note: str) -> dict[str, Any]:
    """Return the progress of a record with this newest head."""
    checkpoint = parse_note(note).checkpoint
    return {"origin": checkpoint.origin, "size": checkpoint.size, "root": checkpoint.root.hex()}


def _compare(where: str, found: RecordSummary, mark: RecordMark) -> None:
    size, root = int(mark.reached.get("size", 0)), mark.reached.get("root")
    origin = str(mark.reached.get("origin", ""))
    if found.identity not in {"", mark.identity}:
        raise _foreign(where, "another platform, or another copy of this one")
    before, now = _continued(origin), _continued(found.origin)
    if before[0] != now[0]:
        raise _foreign(where, Text("the log {origin}", origin=found.origin))
    if now[1] > before[1]:  # the log continued under a new origin: the mark follows
        return
    if found.size < size or now[1] < before[1]:
        raise SecureFlowError(
            "record_set_back",
            Text(
                "The log in the database {where} has {size} entries; this folder knows "
                "that there were {known} on {origin}: the database is an older one.",
                where=where,
                size=found.size,
                known=size,
                origin=origin,
            ),
            "Put the newest database back. If there is none: secureflow server restored, which "
            "continues from this one (docs/deploy.md says what members see then).",
            {"size": found.size, "known": size},
        )
    if found.root != root:
        raise _foreign(
            where,
            Text(
                "another history of {origin} from entry {size} on", origin=found.origin, size=size
            ),
        )


def _continued(origin: str) -> tuple[str, int]:
    """Return the first origin of a log, and the number of its continuation (`…~2`)."""
    first, mark, times = origin.rpartition("~")
    return (first, int(times)) if mark and times.isdecimal() else (origin, 1)


def _missing(
    where: str, directory: Path, file: Path | None, mark: RecordMark | None
) -> SecureFlowError:
    size = mark.reached.get("size") if mark else None
    had = Text("; it had {size} log entries", size=size) if size else ""
    return SecureFlowError(
        "record_missing",
        Text(
            "The database {where} is missing or empty, but {directory} is a centre's folder{had}.",
            where=where,
            directory=directory,
            had=had,
        ),
        recovered_hint(file) or BACK,
        {"known": size},
    )


def _foreign(where: str, what: str) -> SecureFlowError:
    return SecureFlowError(
        "record_foreign",
        Text(
            "The database {where} does not belong to this folder: it holds {what}.",
            where=where,
            what=what,
        ),
        "Correct `database` in server.yaml, or start that centre from its own folder.",
    )
