"""Files that are there whole or not at all, whatever is killed or loses its power meanwhile."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Final

_NEXT: Final = ".next"


def write_whole(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Replace a file: a crash leaves the old one or the new one, and both are on the disk.

    Raises:
        OSError: it cannot be written; what was there before still is.
    """
    fresh = path.with_name(path.name + _NEXT)
    try:
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            fresh.unlink()
        raise
    flush_directory(path.parent)


def flush_directory(directory: Path) -> None:
    """Make the names in a directory durable."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
