"""Database files that only their owner may read."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def keep_private(path: Path) -> None:
    """Make a SQLite file, or leave it, with mode 0600 whatever its folder and the umask allow.

    SQLite gives its `-wal` and `-shm` files the mode of the database; those that an earlier
    version left are changed too.

    Raises:
        OSError: the file cannot be made or changed.
    """
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    for suffix in ("", "-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + suffix).chmod(0o600)
