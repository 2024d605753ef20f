"""Where the tests keep their files: in memory, if this machine has room for them there.

Nothing here tests what a power cut leaves, and a `kill -9` leaves the same on a disk. Hundreds of
small databases on a disk's journal took a tenth of the processor's time of a whole run.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

MEMORY: Final = Path("/dev/shm")
NEEDED: Final = 4 << 30
"""Bytes that are free there before anything is put there; a whole run takes a small part of it."""


def in_memory(place: Path = MEMORY) -> Path | None:
    """Return the directory in memory; None where it is small, or runs no programs."""
    try:
        found = os.statvfs(place)
    except OSError:
        return None
    if found.f_flag & os.ST_NOEXEC or found.f_bavail * found.f_frsize < NEEDED:
        return None
    return place if os.access(place, os.W_OK | os.X_OK) else None
