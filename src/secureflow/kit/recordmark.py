"""A small file next to the database that says which database belongs here, and how far it got.

A missing, emptied, swapped or older database updates like a new one when it is opened. The mark is
outside of it: `identity` is random and in the database too, `reached` is the record's progress when
the mark was written (at most a second ago, and at every orderly shutdown). It is never ahead of the
record: it is written after a commit, from what was committed.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from secureflow.kit.atomic import write_shared
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.logging import get_logger
from secureflow.kit.oserrors import reason_of
from secureflow.kit.text import Text

FILE: Final = "record.json"
INTERVAL: Final = 1.0
"""Seconds between two updates of the mark."""
TIDY_EVERY: Final = 30
"""Updates between two checkpoints of the database."""
_MOST: Final = 4096
_IDENTITY: Final = 32

_log = get_logger(__name__)


@dataclass(frozen=True)
class RecordMark:
    """What a folder knows about its record; `reached` is the process's own measure of progress."""

    identity: str
    reached: Mapping[str, JSON]

    @classmethod
    def fresh_identity(cls) -> str:
        """Return a random identity for a new record."""
        return secrets.token_hex(_IDENTITY // 2)


def read_mark(directory: Path) -> RecordMark | None:
    """Return the folder's mark; None in a new folder, and in one of an older version.

    Raises:
        SecureFlowError: `record_mark_malformed`.
    """
    path = directory / FILE
    try:
        with path.open("rb") as file:
            value: JSON = json.loads(file.read(_MOST))
    except FileNotFoundError:
        return None
    except OSError as error:  # not its owner's, a folder, a failing disk: no reason to do without
        raise SecureFlowError(
            "record_mark_malformed",
            Text(
                "{path}, which says how far the record next to it got, cannot be read: {reason}.",
                path=path,
                reason=reason_of(error),
            ),
            "Give the file to the user as whom the process runs, or restore it from a backup of "
            "the folder.",
        ) from error
    except (ValueError, RecursionError):
        value = None
    if isinstance(value, dict) and isinstance(value.get("reached"), dict):
        identity = value.get("identity")
        if isinstance(identity, str) and len(identity) == _IDENTITY:
            return RecordMark(identity, value["reached"])
    raise SecureFlowError(
        "record_mark_malformed",
        Text("{path}, which says how far the record next to it got, cannot be read.", path=path),
        "Restore it from a backup of the folder. If the database is certainly the newest one, "
        "remove the file: the next start writes it again.",
    )


def write_mark(directory: Path, mark: RecordMark) -> None:
    """Replace the folder's mark, as every server of the folder does.

    Raises:
        OSError: it cannot be written.
    """
    value = {"v": 1, "identity": mark.identity, "reached": dict(mark.reached)}
    write_shared(directory / FILE, json.dumps(value).encode() + b"\n")


def begin_mark(directory: Path, mark: RecordMark) -> RecordMark:
    """Write the mark of a record that was opened; return what the keeper should treat as written.

    A full disk does not prevent a start: the keeper tries again.
    """
    try:
        write_mark(directory, mark)
    except OSError as error:
        _log.warning("record_mark_behind", reason=str(error))
        return RecordMark(mark.identity, {})
    return mark


class RecordKeeper:
    """Keeps the mark in step with the record, and the record checkpointed, while a process runs.

    Args:
        directory: the folder.
        mark: as on disk.
        reached: returns the record's progress; everything up to it is committed.
        tidy: brings the database's file up to date with its write-ahead log.
        lost: tells whether the record's file is gone from its place; then the mark is left alone.
        interval: seconds between two updates.
    """

    def __init__(
        self,
        directory: Path,
        mark: RecordMark,
        reached: Callable[[], Awaitable[Mapping[str, JSON]]],
        tidy: Callable[[], Awaitable[object]],
        lost: Callable[[], Awaitable[bool]],
        interval: float = INTERVAL,
    ) -> None:
        self._directory = directory
        self._mark = mark
        self._reached = reached
        self._tidy = tidy
        self._lost = lost
        self._interval = interval
        self._task: asyncio.Task[None] | None = None
        self._ending = asyncio.Event()
        self._away = False

    def start(self) -> None:
        """Start updating."""
        self._task = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        """Update once more, and stop."""
        self._ending.set()
        if self._task is not None:
            await self._task  # not cancelled: its thread may be writing
        await self._update()

    async def _keep(self) -> None:
        updates = 0
        while not await self._over():
            await self._update()
            updates += 1
            if updates % TIDY_EVERY == 0 and not self._away:
                await self._tried(self._tidy)

    async def _over(self) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._interval):
                await self._ending.wait()
        return self._ending.is_set()

    async def _update(self) -> None:
        await self._tried(self._write)

    async def _write(self) -> None:
        self._away = await self._lost()
        if self._away:
            return
        reached = await self._reached()
        if reached == self._mark.reached:
            return
        mark = RecordMark(self._mark.identity, reached)
        await asyncio.to_thread(write_mark, self._directory, mark)
        self._mark = mark

    async def _tried(self, work: Callable[[], Awaitable[object]]) -> None:
        """Run work that the next update may retry (a full disk, a database away)."""
        try:
            await work()
        except (SecureFlowError, OSError) as error:
            _log.warning("record_mark_behind", reason=str(error))
        except Exception:  # noqa: BLE001  the edge of a task: the next update retries
            _log.exception("record_mark_behind")
