"""Room at the centre: a reserve for its record, a look before a job is taken, and figures.

What has begun is recorded to its end from the reserve (`kit.reserve`): a job's driver that finds
the disk of the record full gives it up and tries again, and so does a start: jobs go on only where
the centre serves. So no job is taken while it is not full.
A record in PostgreSQL lies on a disk that this process knows nothing of: it has none there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from secureflow.kit.disk import FULL, Place
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.reserve import Reserve
from secureflow.server.settings import ServerSettings

INTERVAL: Final = 60.0
"""Seconds between looks whether the reserve can be filled again."""
Note = Callable[[str, str, SecureFlowError | None], None]
_SQLITE: Final = "sqlite"
_LOGS: Final = ("", "-wal", "-shm")


class RecordRoom:
    """The record's room.

    Args:
        directory: of the record.
        reserve: what is given up for it.
        models: refuses bytes of models and vectors that do not fit.
    """

    def __init__(self, directory: Path, reserve: Reserve, models: Callable[[int], None]) -> None:
        self._place = Place(directory, "own record", "the centre", public=True)
        self._reserve = reserve
        self._models = models

    def for_job(self, size: int) -> None:
        """Refuse a job whose bytes, or whose record, there is no room for.

        Raises:
            InfrastructureError: `disk_full`.
        """
        self._reserve.keep()
        self._place.demand(self._reserve.missing)
        self._models(size)

    def given_up_for(self, note: Note) -> Note:
        """Return what notes that a job's driver waits: for a full disk the reserve is given up."""

        def noted(job: str, who: str, error: SecureFlowError | None) -> None:
            if error is not None and error.code == FULL:
                self._reserve.give_up()
            note(job, who, error)

        return noted

    async def keep_reserve(self) -> None:
        """Hold the reserve whenever there is room, until cancelled."""
        while True:
            await asyncio.to_thread(self._reserve.keep)
            await asyncio.sleep(INTERVAL)


def reserve_of(settings: ServerSettings) -> Reserve:
    """Return the reserve that a centre's settings name."""
    here = settings.database_url.startswith(_SQLITE)
    size = settings.storage.record_mb << 20 if here else 0
    return Reserve(settings.directory / "server.reserve", size, "the centre")


def figures(settings: ServerSettings) -> list[dict[str, Any]]:
    """Return what each part `holds`, and is `free` and in `reserve` on its disk, in bytes."""
    held, models = reserve_of(settings), settings.artifacts
    vectors = models / "vectors"
    files = {
        "stored models": _inside(models) - _inside(vectors),
        "masked vectors": _inside(vectors),
    }
    kept = settings.storage.reserve_mb << 20
    rows = [
        {
            "part": part,
            "folder": str(models),
            "holds": holds,
            "free": _free(models),
            "reserve": kept,
        }
        for part, holds in files.items()
    ]
    if settings.database_url.startswith(_SQLITE):
        record = Path(settings.database_url.partition("///")[2])
        holds = sum(map(_size, (record.with_name(record.name + one) for one in _LOGS)))
        own = {"part": "own record", "folder": str(record.parent), "holds": holds}
        rows.insert(0, {**own, "free": _free(record.parent), "reserve": held.size - held.missing})
    return rows


def _free(folder: Path) -> int:
    return Place(folder, "own files").free()


def _inside(folder: Path) -> int:
    return sum(_size(path) for path in folder.rglob("*") if path.is_file())


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # it may go while it is looked at
        return 0
