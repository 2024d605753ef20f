"""Plenty: rows put straight into the databases of a running consortium, as years would leave them.

What is put in is cloned from rows that the product itself wrote, so that it reads like them.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
FAR: Final = 1_000_000_000
"""Numbers that the log itself does not reach in a test."""


@contextmanager
def writing(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a database beside the process that holds it, and commit."""
    with closing(sqlite3.connect(path, timeout=60)) as database:
        database.row_factory = sqlite3.Row
        yield database
        database.commit()


def number_id(noun: str, number: int) -> str:
    """Return an id that sorts by a number, and before every real one."""
    text, left = "", number
    while left:
        left, digit = divmod(left, len(ALPHABET))
        text = ALPHABET[digit] + text
    return f"{noun}_{text.rjust(20, '0')}"


def clone(
    database: sqlite3.Connection, table: str, row: sqlite3.Row, changes: Iterator[dict[str, Any]]
) -> None:
    """Insert a row again and again, each time with changes."""
    names = row.keys()
    places = ", ".join("?" * len(names))
    columns = ", ".join(f'"{name}"' for name in names)
    rows = ([one.get(name, row[name]) for name in names] for one in changes)
    database.executemany(f"INSERT INTO {table} ({columns}) VALUES ({places})", rows)


def many_jobs(path: Path, count: int) -> None:
    """Let a project have had so many jobs; the first of them is called `the oldest of all`."""
    with writing(path) as database:
        row = database.execute("SELECT * FROM jobs ORDER BY id DESC LIMIT 1").fetchone()
        document = json.loads(row["doc"])

        def changed() -> Iterator[dict[str, Any]]:
            for number in range(1, count + 1):
                key, created = number_id("job", number), document["created"] - 60 * (count - number)
                name = "the oldest of all" if number == 1 else f"model {number}"
                told = {"id": key, "name": name, "state": "succeeded", "created": created,
                        "updated": created}  # fmt: skip
                yield {
                    "id": key, "state": "succeeded", "created": created,
                    "words": row["words"].replace(document["id"], key).replace(
                        document["name"].lower(), name
                    ),
                    "doc": json.dumps(document | told),
                }  # fmt: skip

        clone(database, "jobs", row, changed())


def many_entries(path: Path, count: int) -> None:
    """Let the ledger list so many entries more, the first of them by an author of its own."""
    with writing(path) as database:
        row = database.execute(
            "SELECT * FROM log_leaves WHERE job = '' AND kind = 'project.created' LIMIT 1"
        ).fetchone()
        clone(database, "log_leaves", row, (
            {"number": FAR + number, "hash": number.to_bytes(32, "big"),
             "author": "the-oldest" if number == 0 else row["author"]}
            for number in range(count)
        ))  # fmt: skip


def many_events(path: Path, job: str, count: int) -> None:
    """Let a job have said so many lines."""
    with writing(path) as database:
        row = database.execute("SELECT * FROM events WHERE job = ? LIMIT 1", (job,)).fetchone()
        clone(database, "events", row, (
            {"id": FAR + number, "kind": "log", "at": row["at"] + number,
             "data": json.dumps({"message": f"line {number} of the worker"})}
            for number in range(count)
        ))  # fmt: skip


def many_deeds(path: Path, count: int) -> None:
    """Let an agent have written so many lines into its own log."""
    with writing(path) as database:
        row = database.execute(
            "SELECT * FROM deeds WHERE deed = 'dataset.published' LIMIT 1"
        ).fetchone()
        clone(database, "deeds", row, ({"id": row["id"] + FAR + number} for number in range(count)))
