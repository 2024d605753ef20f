"""Disk space reserved for the record: a file that is deleted when the disk is full.

What an agent must never fail to write (a vote, spent budget, its end of a job), or a centre (its
log, the end of a job), is small; what fills a disk is not. So a file holds some space from the
start. A writer that finds the disk full deletes the file and continues; it is allocated again once
there is room. Until then no new work is accepted (`agent.record.room`, `server.room`), so that the
space is left for work already begun.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from secureflow.kit.disk import FULL, Place, is_full, preallocate, remove, writing
from secureflow.kit.errors import InfrastructureError
from secureflow.kit.logging import get_logger

T = TypeVar("T")

_log = get_logger(__name__)


class DiskReserve:
    """A file that holds disk space.

    Args:
        path: its path, on the record's disk.
        size: its bytes; 0 for no reserve.
        whose: how people know the process.
    """

    def __init__(self, path: Path, size: int, whose: str = "this agent") -> None:
        self._path = path
        self._whose = whose
        self.size = size
        self._lock = threading.Lock()
        self.releases = 0
        """How often it was released: a writer notes it before it writes."""

    @property
    def missing(self) -> int:
        """Bytes of the reserve that are not allocated now."""
        return 0 if self._held() else self.size

    def keep(self) -> bool:
        """Allocate the file if there is room; tell whether it is allocated now."""
        with self._lock:
            if self._held():
                return True
            fresh = self._path.with_name(self._path.name + ".next")
            try:
                handle = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
                try:
                    preallocate(handle, self.size)
                finally:
                    os.close(handle)
                fresh.replace(self._path)
            except OSError:  # no room: half a reserve would only take space from others
                remove(fresh)
                return False
            return True

    def give_up(self) -> bool:
        """Release the space to the record; tell whether there was any."""
        with self._lock:
            if not self.size or not self._path.exists():
                return False
            remove(self._path)
            gone = not self._path.exists()
            self.releases += gone
        if gone:
            _log.warning("reserve_given_up", message="the disk is full", bytes=self.size)
        return gone

    def make_room(self, before: int) -> bool:
        """Release it to a writer that found the disk full; tell whether to write again.

        Args:
            before: `releases` before that write. Another writer may have released it since: then
                there is none left, but room.
        """
        return self.give_up() or self.releases != before

    def run(self, work: Callable[[], T]) -> T:
        """Run a small write, releasing the reserve if the disk is full.

        Raises:
            InfrastructureError: `disk_full`, `disk_failed`.
        """
        before = self.releases
        with writing(Place(self._path.parent, "own files", self._whose)):
            try:
                return work()
            except OSError as error:
                if not is_full(error) or not self.make_room(before):
                    raise
                return work()

    async def run_async(self, work: Callable[[], Awaitable[T]]) -> T:
        """Run repeatable work that raises typed errors, releasing the reserve if the disk is full.

        Raises:
            InfrastructureError: `disk_full` if even that does not help; others as raised.
        """
        before = self.releases
        try:
            return await work()
        except InfrastructureError as error:
            if error.code != FULL or not self.make_room(before):
                raise
        return await work()

    def _held(self) -> bool:
        try:
            return self._path.stat().st_size >= self.size
        except OSError:
            return not self.size
