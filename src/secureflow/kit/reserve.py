"""Room that the record has when the disk is full: a file that is given up for it.

What an agent may never fail to write (a vote, what was spent, its end of a job), and a centre (its
log, the end of a job), is small; what fills its disk is not. So some room is held by a file from
the beginning. Who finds the disk full removes the file and goes on; when there is room again the
file is made anew. While it is not there nothing new is begun (`agent.record.room`, `server.room`),
so that it is left for what was.
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


class Reserve:
    """The file that holds the room.

    Args:
        path: where it lies: on the record's disk.
        size: its bytes; 0 keeps none.
        whose: how people know the process.
    """

    def __init__(self, path: Path, size: int, whose: str = "this agent") -> None:
        self._path = path
        self._whose = whose
        self.size = size
        self._lock = threading.Lock()

    @property
    def missing(self) -> int:
        """Bytes of the reserve that are not held now."""
        return 0 if self._held() else self.size

    def keep(self) -> bool:
        """Hold the room if there is enough; tell whether it is held now."""
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
            except OSError:  # none now: half a reserve would only take room from others
                remove(fresh)
                return False
            return True

    def give_up(self) -> bool:
        """Leave the room to the record; tell whether there was any."""
        with self._lock:
            if not self.size or not self._path.exists():
                return False
            remove(self._path)
            gone = not self._path.exists()
        if gone:
            _log.warning("reserve_given_up", message="the disk is full", bytes=self.size)
        return gone

    def run(self, work: Callable[[], T]) -> T:
        """Do something small that writes, over the reserve if the disk is full.

        Raises:
            InfrastructureError: `disk_full`, `disk_failed`.
        """
        with writing(Place(self._path.parent, "own files", self._whose)):
            try:
                return work()
            except OSError as error:
                if not is_full(error) or not self.give_up():
                    raise
                return work()

    async def run_async(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do what names its faults itself and may be done again: over the reserve if need be.

        Raises:
            InfrastructureError: `disk_full`, where even that is of no help; others as they are.
        """
        try:
            return await work()
        except InfrastructureError as error:
            if error.code != FULL or not self.give_up():
                raise
        return await work()

    def _held(self) -> bool:
        try:
            return self._path.stat().st_size >= self.size
        except OSError:
            return not self.size
