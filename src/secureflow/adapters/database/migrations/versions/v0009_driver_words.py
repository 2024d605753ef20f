"""Removes database drivers' messages from jobs that an older version paused.

Before, the runner stored an exception as it was (`Job X: OperationalError(…)`), with statements,
file names and hosts, which REST, watchers and reports showed. Jobs paused by a fault of the
database get its code, and are continued on start.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import sqlalchemy as sa
from alembic import op

from secureflow.adapters.database.faults import fault

revision = "0009"
down_revision = "0007"

_FAULTS: Final = (
    ("disk_full", ("disk is full", "DiskFull", "No space left", "could not extend")),
    ("database_busy", ("is locked", "LockNotAvailable", "DeadlockDetected", "QueryCanceled")),
    (
        "database_unavailable",
        (
            *("disk I/O error", "unable to open database", "readonly database"),
            *("psycopg.OperationalError", "psycopg.InterfaceError", "AdminShutdown"),
            *("CrashShutdown", "CannotConnectNow", "TooManyConnections", "QueuePool limit"),
            *("connection is closed", "server closed the connection", "connection failed"),
        ),
    ),
)
"""Messages of the drivers, by their meaning; the first match counts."""
_JOBS: Final = sa.table("jobs", sa.column("id", sa.Text), sa.column("doc", sa.Text))
_EVENTS: Final = sa.table(
    "events",
    sa.column("id", sa.BigInteger),
    sa.column("job", sa.Text),
    sa.column("kind", sa.Text),
    sa.column("data", sa.Text),
)


def upgrade() -> None:
    """Rewrite the jobs and their events, also of jobs that were cancelled later."""
    jobs = sa.select(_JOBS.c.id, _JOBS.c.doc)
    jobs = jobs.where(_JOBS.c.doc.like("%internal%"), _JOBS.c.doc.like("%Job %: %"))
    for job, text in op.get_bind().execute(jobs).all():
        doc = json.loads(text)
        told = _plain(job, doc.get("error"))
        if told is not None:
            _write(_JOBS, job, {"doc": {**doc, "error": told}})
    events = sa.select(_EVENTS).where(_EVENTS.c.kind.in_(("error", "state")))
    for one in op.get_bind().execute(events.where(_EVENTS.c.data.like("%Job %: %"))).all():
        data = json.loads(one.data)
        told = _plain(one.job, data)
        reason = _reason(one.job, data.get("reason"))
        if told is not None:
            _write(_EVENTS, one.id, {"data": told})
        elif reason is not None:
            _write(_EVENTS, one.id, {"data": {**data, "reason": reason}})


def _plain(job: str, error: Any) -> dict[str, Any] | None:
    """Return the rewritten error; None if it has no driver's message."""
    if not isinstance(error, Mapping) or error.get("code") != "internal":
        return None
    message = error.get("message")
    if not _foreign(job, message):
        return None
    code = _code(str(message))
    if code is not None:
        return fault(code).as_json()
    return {
        "code": "internal",
        "message": _defect(job),
        "hint": "The operator finds the trace in the server's log of that time. To go on: "
        f"secureflow job resume {job}.",
        "details": {},
    }


def _reason(job: str, reason: Any) -> str | None:
    if not _foreign(job, reason):
        return None
    code = _code(str(reason))
    return _defect(job) if code is None else fault(code).message


def _foreign(job: str, text: Any) -> bool:
    """Tell whether a text is an exception as the older version wrote it: `Job X: Error(…)`."""
    return isinstance(text, str) and text.startswith(f"Job {job}: ")


def _code(text: str) -> str | None:
    return next((code for code, words in _FAULTS if any(word in text for word in words)), None)


def _defect(job: str) -> str:
    return f"Job {job} met a defect of the server."


def _write(table: sa.TableClause, key: Any, values: Mapping[str, Any]) -> None:
    texts = {name: json.dumps(value, separators=(",", ":")) for name, value in values.items()}
    op.get_bind().execute(sa.update(table).where(table.c.id == key).values(texts))
