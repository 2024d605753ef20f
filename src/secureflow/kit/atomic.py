"""Files that are written atomically, whatever is killed or loses its power meanwhile."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from pathlib import Path
from typing import Final

_NEXT: Final = ".next"
_NO_LINKS: Final = frozenset({errno.EPERM, errno.ENOTSUP, errno.ENOSYS})
"""What network and FUSE file systems without hard links say."""


def write_atomically(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Replace a file: a crash leaves the old one or the new one, and both are on the disk.

    Raises:
        OSError: it cannot be written; what was there before still is.
    """
    _write(path, path.with_name(path.name + _NEXT), os.O_TRUNC, data, mode)


def write_shared(path: Path, data: bytes) -> None:
    """Replace a file with mode 0600 that other processes replace as well: the last one counts.

    Raises:
        OSError: it cannot be written; what was there before still is.
    """
    beside = path.with_name(f"{path.name}.{os.getpid()}{_NEXT}")  # two would tear one in halves
    _write(path, beside, os.O_TRUNC, data, 0o600)


def write_new(path: Path, data: bytes) -> None:
    """Make a file with mode 0600 that is not there yet: complete and on the disk, or not at all.

    Raises:
        FileExistsError: an existing file is never overwritten.
        OSError: it cannot be written; nothing has its name.
    """
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        write_atomically(fresh, data)
        _name_anew(fresh, path)
    except OSError as error:
        error.filename = str(path)
        raise
    finally:
        with contextlib.suppress(OSError):
            fresh.unlink()
    flush_directory(path.parent)


def _name_anew(fresh: Path, path: Path) -> None:
    """Give a file a name that nothing has."""
    try:
        path.hardlink_to(fresh)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if path.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from error
        fresh.replace(path)


def flush_directory(directory: Path) -> None:
    """Make the names in a directory durable."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_result(path: Path, data: bytes, mode: int | None = None) -> None:
    """Write a file where a person said: completely, or what was there before stays as it was.

    A link leads to the file that is replaced; what is no plain file (a pipe) is written into.
    Without a mode an older file keeps its own. The part that is being written has a name that no
    other file has: the folder is not ours.

    Raises:
        OSError: naming the path.
    """
    if path.exists():
        if not path.is_file():
            path.write_bytes(data)
            return
        mode = path.stat().st_mode & 0o777 if mode is None else mode
    place = path.resolve()
    fresh = place.with_name(f".secureflow-{secrets.token_hex(8)}")
    _write(place, fresh, os.O_EXCL, data, 0o666 if mode is None else mode)


def _write(path: Path, fresh: Path, how: int, data: bytes, mode: int) -> None:
    try:
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | how, mode)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            fresh.unlink()
        error.filename = str(path)  # write(2) names none, and nobody knows the other one
        raise
    flush_directory(path.parent)
