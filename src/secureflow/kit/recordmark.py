"""A data folder knows that it had a record, and how far it went: a small file beside the database.

A database that is gone, empty, another one or an older one looks like a new one to whoever opens
it. The mark stands outside of it: `identity` is random and in the database too, `reached` is how
far the record went when the mark was written (at most a second ago, and at every orderly end). It
is never ahead of the record: it is written after a commit, from what was committed.
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
from secureflow.kit.text import Text

FILE: Final = "record.json"
INTERVAL: Final = 1.0
"""Seconds between two looks at how far the record went."""
TIDY_EVERY: Final = 30
"""Looks between two checkpoints of the database."""
_MOST: Final = 4096
_IDENTITY: Final = 32

_log = get_logger(__name__)


@dataclass(frozen=True)
class RecordMark:
    """What a folder knows of its record: `reached` is the process's own measure of how far."""

    identity: str
    reached: Mapping[str, JSON]

    @classmethod
    def fresh_identity(cls) -> str:
        """Return the identity of a new record."""
        return secrets.token_hex(_IDENTITY // 2)


def read_mark(directory: Path) -> RecordMark | None:
    """Return the folder's mark; None in a new one, and in one of an older version.

    Raises:
        SecureFlowError: `record_mark_malformed`.
    """
    path = directory / FILE
    try:
        with path.open("rb") as file:
            value: JSON = json.loads(file.read(_MOST))
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError):
        value = None
    if isinstance(value, dict) and isinstance(value.get("reached"), dict):
        identity = value.get("identity")
        if isinstance(identity, str) and len(identity) == _IDENTITY:
            return RecordMark(identity, value["reached"])
    raise SecureFlowError(
        "record_mark_malformed",
        Text("{path}, which says how far the record beside it went, cannot be read.", path=path),
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
    """Write the mark of a record that was opened; return it as a keeper is to take it for written.

    A disk that is full is no reason not to start: the keeper tries again.
    """
    try:
        write_mark(directory, mark)
    except OSError as error:
        _log.warning("record_mark_behind", reason=str(error))
        return RecordMark(mark.identity, {})
    return mark


class RecordKeeper:
    """Keeps the mark up with the record, and the record tidy, while a process runs.

    Args:
        directory: the folder.
        mark: as it is on disk.
        reached: says how far the record is now; what it returns was committed.
        tidy: brings the database's file up to date with its write-ahead log.
        lost: tells whether the record's file is gone from its place: the mark stays then.
        interval: seconds between two looks.
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
        """Begin to look."""
        self._task = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        """Look once more, and end."""
        self._ending.set()
        if self._task is not None:
            await self._task  # not cancelled: a thread of it may be writing
        await self._look()

    async def _keep(self) -> None:
        looks = 0
        while not await self._over():
            await self._look()
            looks += 1
            if looks % TIDY_EVERY == 0 and not self._away:
                await self._tried(self._tidy)

    async def _over(self) -> bool:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ending.wait(), self._interval)
        return self._ending.is_set()

    async def _look(self) -> None:
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
        """Do what can be done later as well: a full disk is emptied, a database comes back."""
        try:
            await work()
        except (SecureFlowError, OSError) as error:
            _log.warning("record_mark_behind", reason=str(error))
        except Exception:  # noqa: BLE001  the edge of a task: the next look does it
            _log.exception("record_mark_behind")
