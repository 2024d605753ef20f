"""Disk space at the centre: the record's reserve, a check before a job is accepted, and figures.

Jobs already begun are recorded to their end with the help of the reserve (`kit.diskreserve`): a
job's driver that finds the record's disk full releases it and tries again, and so does a start,
since jobs continue only while the centre serves. So no job is accepted while the reserve is not
complete. A record in PostgreSQL is on a disk unknown to this process, and has no reserve.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from secureflow.kit.clock import Ticks
from secureflow.kit.disk import FULL, Place
from secureflow.kit.diskreserve import DiskReserve
from secureflow.kit.errors import SecureFlowError
from secureflow.server.settings import ServerSettings

INTERVAL: Final = 60.0
"""Seconds between attempts to fill the reserve again."""
Note = Callable[[str, str, SecureFlowError | None], None]
_SQLITE: Final = "sqlite"
_LOGS: Final = ("", "-wal", "-shm")


class RecordRoom:
    """The record's disk space.

    Args:
        directory: of the record.
        reserve: what is released for it.
        models: refuses models and vectors that do not fit, by their bytes.
    """

    def __init__(
        self, directory: Path, reserve: DiskReserve, models: Callable[[int], None]
    ) -> None:
        self._place = Place(directory, "own record", "the centre", public=True)
        self._reserve = reserve
        self._models = models

    def for_job(self, size: int) -> None:
        """Refuse a job if there is no room for its files or for its record.

        Raises:
            InfrastructureError: `disk_full`.
        """
        self._reserve.keep()
        self._place.demand(self._reserve.missing)
        self._models(size)

    def given_up_for(self, note: Note) -> Note:
        """Wrap the observer of waiting drivers so that the reserve is released for a full disk."""

        def noted(job: str, who: str, error: SecureFlowError | None) -> None:
            if error is not None and error.code == FULL:
                self._reserve.give_up()
            note(job, who, error)

        return noted

    async def keep_reserve(self) -> None:
        """Refill the reserve whenever there is room, until cancelled."""
        while True:
            await asyncio.to_thread(self._reserve.keep)
            await asyncio.sleep(INTERVAL)


class Figures:
    """Figures of disks for everybody who asks: they are measured once a minute at most.

    Args:
        measure: walks through the folders, which takes long.
        ticks: monotonic seconds.
    """

    def __init__(self, measure: Callable[[], list[dict[str, Any]]], ticks: Ticks) -> None:
        self._measure = measure
        self._ticks = ticks
        self._until = -1.0
        self._known: list[dict[str, Any]] = []
        self._turn = asyncio.Lock()

    async def now(self) -> list[dict[str, Any]]:
        """Return the newest figures."""
        async with self._turn:
            if self._ticks() >= self._until:
                self._known = await asyncio.to_thread(self._measure)
                self._until = self._ticks() + INTERVAL
        return self._known


def reserve_of(settings: ServerSettings) -> DiskReserve:
    """Return the reserve of a centre's settings."""
    here = settings.database_url.startswith(_SQLITE)
    size = settings.storage.record_mb << 20 if here else 0
    return DiskReserve(settings.directory / "server.reserve", size, "the centre")


def figures(settings: ServerSettings) -> list[dict[str, Any]]:
    """Return what each part `holds`, and is `free` and in `reserve` on its disk, in bytes."""
    held, models = reserve_of(settings), settings.artifacts
    files = {"uploads": _inside(settings.uploads), "masked vectors": _inside(models / "vectors")}
    files = {"stored models": _inside(models) - sum(files.values()), **files}
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
    except OSError:  # it may be removed meanwhile
        return 0
