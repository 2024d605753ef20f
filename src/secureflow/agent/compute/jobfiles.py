"""The files of a job: what its worker writes, and where what is kept of it lies.

    <models>/<job>/         what a worker sees, read-only but for `OUTPUTS`
    <models>/<job>.held/    what no worker ever sees
    <models>/<job>.code/    what code of others sees, and no worker: itself, and its rows

A worker holds its files open for writing as long as it lives, and may change or cut them at any
moment. So nothing of theirs is mapped, hashed or sealed: it is copied first, and only the copy
counts. Waiting is bounded too: opening a file on which somebody holds a lease would wait for him.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Final

from secureflow.kit.filecopy import copy_bytes

UPDATE: Final = "update"
STATE: Final = "state"
ROWS: Final = "rows"
"""Prepared rows, for code of others."""
SELECTION: Final = "selection"
"""Which rows alone a worker reads: int64 numbers from 0, little-endian, written by its agent."""
HANDED: Final = "/rows/rows"
"""The file of its rows, as the process of such code sees it once they are handed over."""
OUTPUTS: Final = (UPDATE, STATE, ROWS)
"""Files in a job's folder that its worker writes."""
STATE_BYTES: Final = 64 << 20
"""Of the file in which a trainer keeps its own state, if no setting says otherwise."""
HELD: Final = ".held"
CODE: Final = ".code"
"""They end the name of a folder, and of no job."""
_OPEN: Final = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NOT_WRITTEN: Final = frozenset({errno.ENOENT, errno.ELOOP, errno.EAGAIN, errno.ENXIO})
"""There is no such file, it is a link, somebody holds a lease on it, it is a pipe or a socket."""


def job_folder(models: Path, job: str) -> Path | None:
    """Return the folder of a job that its worker sees; None for what is no name of a job."""
    return None if not job or "/" in job or "." in job else models / job


def held_folder(models: Path, job: str) -> Path:
    """Return the folder of a job that no worker sees."""
    return models / f"{job}{HELD}"


def code_folder(models: Path, job: str) -> Path:
    """Return the folder of a job that the code which it brings sees parts of."""
    return models / f"{job}{CODE}"


def emptied(path: Path) -> os.stat_result:
    """Return a file that a worker writes, made if it is missing, without content.

    One that cannot be emptied is replaced: the worker that holds it must go then, as another file
    is in its place.

    Raises:
        OSError: no file can be made.
    """
    try:
        handle = os.open(path, os.O_WRONLY | _OPEN)
        try:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise OSError(errno.ENXIO, os.strerror(errno.ENXIO))
            os.ftruncate(handle, 0)
            return os.fstat(handle)
        finally:
            os.close(handle)
    except OSError as error:
        if error.errno in {errno.EMFILE, errno.ENFILE}:
            raise
    path.unlink(missing_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _OPEN, 0o600)
    try:
        return os.fstat(handle)
    finally:
        os.close(handle)


def take(source: Path, copy: Path, length: int | None, tail: bytes = b"", *, most: int = 0) -> int:
    """Copy what a worker wrote into a new file, and empty the worker's; return its length.

    Args:
        source: the worker's file.
        copy: the new one, which takes the place of an older one: whoever has that mapped keeps it.
        length: what the worker's must have, or nothing is copied; None for any.
        tail: what is put behind it.
        most: bytes beyond which nothing is copied, if any length will do.

    Raises:
        OSError: there is no room, or a disk fails.
    """
    handle = _opened(source)
    if handle < 0:
        return 0
    try:
        found = os.fstat(handle).st_size
        if (found == length) if length is not None else (0 < found <= most):
            copy.unlink(missing_ok=True)
            made = os.open(copy, os.O_RDWR | os.O_CREAT | os.O_EXCL | _OPEN, 0o600)
            try:
                copy_bytes(handle, made, found)
                if tail:
                    os.pwrite(made, tail, found)
            except OSError:
                copy.unlink()  # half of it would take the room that is missing
                raise
            finally:
                os.close(made)
    finally:
        os.close(handle)
    emptied(source)
    return found


def _opened(path: Path) -> int:
    """Open what a worker wrote; -1 if there is no such file."""
    try:
        handle = os.open(path, os.O_RDONLY | _OPEN)
    except OSError as error:
        if error.errno in _NOT_WRITTEN:
            return -1
        raise
    if stat.S_ISREG(os.fstat(handle).st_mode):
        return handle
    os.close(handle)
    return -1
