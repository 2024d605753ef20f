"""Full and failing disks, told apart from bugs: whose disk, for what, how much room is left.

Writers work inside `writing(place)`; what a full disk, or SQLite on it, raises there becomes an
`InfrastructureError` that callers may wait out. The path is in the hint, which only this process's
own people see unless the place is shown to others (`Place.public`).
"""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from secureflow.kit.errors import InfrastructureError
from secureflow.kit.text import Text

FULL: Final = "disk_full"
FAILED: Final = "disk_failed"
BUSY: Final = "database_busy"
TOO_MANY: Final = "too_many_files"
WAITED_FOR: Final = frozenset({FULL, FAILED, BUSY, TOO_MANY})
"""Codes of faults of a process's own disk, or of its limit of open files."""
RAISE_LIMIT: Final = (
    "Raise its limit of open files (ulimit -n; LimitNOFILE= of its service) and check"
    " what holds that many open; waiting work then continues by itself."
)
PARTS: Final = frozenset(
    {
        "own record",
        "own files",
        "model files",
        "stored models",
        "uploads",
        "masked vectors",
        "temporary files",
    }
)
"""What a place is used for; others see these words and no path."""
MOST_BYTES: Final = 1 << 60
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_NO_HANDLE: Final = frozenset({errno.EMFILE, errno.ENFILE})
_REFUSES: Final = frozenset(
    {errno.EIO, errno.EROFS, errno.EFBIG, errno.EACCES, errno.EPERM, errno.ESTALE, errno.ENXIO}
)
_IN_THE_WAY: Final = frozenset({errno.ENOTDIR, errno.EEXIST, errno.ELOOP})
"""What a file in the place of a folder gives."""
_SQLITE: Final = {
    sqlite3.SQLITE_FULL: FULL,
    sqlite3.SQLITE_IOERR: FAILED,
    sqlite3.SQLITE_READONLY: FAILED,
    sqlite3.SQLITE_CANTOPEN: FAILED,
    sqlite3.SQLITE_PERM: FAILED,
    sqlite3.SQLITE_BUSY: BUSY,
    sqlite3.SQLITE_LOCKED: BUSY,
}
_SHARED_MEMORY: Final = 1 << 16
"""SQLite reports a disk without room for its shared memory (32 KiB pages) as an I/O error."""


@dataclass(frozen=True)
class Place:
    """A folder that a process writes in.

    Args:
        folder: on the disk in question; it need not exist yet.
        part: what it is used for, one of `PARTS`.
        whose: how people know the process: an organisation, `the centre`, `the enclave`.
        public: whether people outside this process read its errors, which then name no path.
    """

    folder: Path
    part: str
    whose: str = "this agent"
    public: bool = False

    def free(self) -> int:
        """Return how many bytes this user may still write there.

        0 if unknown, and if the disk can hold no more files, whatever room it has.
        """
        folder = self.folder
        while not folder.exists() and folder != folder.parent:
            folder = folder.parent
        try:
            status = os.statvfs(folder)
        except OSError:
            return 0
        crowded = status.f_files > 0 and status.f_favail == 0
        return 0 if crowded else status.f_bavail * status.f_frsize

    def demand(self, needed: int) -> None:
        """Refuse to start a write that would not fit.

        Raises:
            InfrastructureError: `disk_full`.
        """
        if needed > 0 and self.free() < needed:
            raise full(self, needed)


def full(place: Place, needed: int) -> InfrastructureError:
    """Return the error for a place without room; `needed` is 0 if unknown."""
    free = min(place.free(), MOST_BYTES)
    return InfrastructureError(
        FULL, describe(FULL, place.whose, place.part, needed, free), _hint(FULL, place),
        {"part": place.part, "needed": needed, "free": free},
    )  # fmt: skip


def describe(code: str, whose: str, part: str, needed: int = 0, free: int = 0) -> str:
    """Describe the fault of a place in a sentence."""
    if code == TOO_MANY:
        return Text("{whose} has reached its limit of open files.", whose=whose)
    if code == BUSY:
        return Text(
            "Another process is using files of {whose}: its {part}.", whose=whose, part=part
        )
    if code == FAILED:
        return Text("The disk of {whose} refuses writes: its {part}.", whose=whose, part=part)
    if not needed:
        return Text(
            "The disk of {whose} is full: its {part} cannot grow, {size} are free.",
            whose=whose,
            part=part,
            size=size(free),
        )
    return Text(
        "The disk of {whose} is full: its {part} need {needed}, {free} are free.",
        whose=whose,
        part=part,
        needed=size(needed),
        free=size(free),
    )


def size(count: int) -> str:
    """Format a number of bytes for people."""
    value, units = float(count), ("bytes", "kB", "MB", "GB", "TB", "PB")
    for unit in units:
        if value < 1000 or unit == units[-1]:
            break
        value /= 1000
    return Text("{count} bytes", count=count) if unit == "bytes" else f"{value:.1f} {unit}"


def demand_folder(place: Place) -> None:
    """Refuse to work in a folder that is gone, is none, or in which this user may not write.

    Raises:
        InfrastructureError: `disk_failed`; `too_many_files`.
    """
    with writing(place):
        if not place.folder.is_dir():
            raise OSError(errno.EIO, "the folder is gone")
        if not os.access(place.folder, os.R_OK | os.W_OK | os.X_OK):
            raise OSError(errno.EACCES, os.strerror(errno.EACCES))


@contextmanager
def writing(place: Place, needed: int = 0) -> Iterator[None]:
    """Turn disk faults of the work inside into typed errors; other errors pass unchanged.

    Args:
        place: where the block writes.
        needed: bytes about to be written, if known.

    Raises:
        InfrastructureError: `disk_full`, `disk_failed`, `database_busy`, `too_many_files`.
    """
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        known = fault_of(error, place, needed)
        if known is None:
            raise
        raise known from error


def fault_of(
    error: OSError | sqlite3.Error, place: Place, needed: int = 0
) -> InfrastructureError | None:
    """Return the typed error of an exception; None if it is not a fault of the disk."""
    code = _code(error, place)
    if code is None:
        return None
    if code == FULL:
        return full(place, needed)
    return InfrastructureError(
        code, describe(code, place.whose, place.part), _hint(code, place), {"part": place.part}
    )


def exhausted(error: BaseException, whose: str) -> InfrastructureError | None:
    """Return the error for a process that can open no more files, wherever that was noticed."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in _NO_HANDLE:
            return InfrastructureError(TOO_MANY, describe(TOO_MANY, whose, ""), RAISE_LIMIT)
        cause = cause.__cause__ or cause.__context__
    return None


def no_handle_left() -> bool:
    """Tell whether this process can open no more files, which some libraries do not report."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return error.errno in _NO_HANDLE
    return False


def is_full(error: BaseException) -> bool:
    """Tell whether an exception means that the disk is full."""
    if isinstance(error, sqlite3.Error):
        return _primary(error) == sqlite3.SQLITE_FULL
    return isinstance(error, OSError) and error.errno in _NO_ROOM


def preallocate(handle: int, length: int) -> None:
    """Allocate room for a file to be written through a mapping, where a full disk would kill us.

    Raises:
        OSError: there is no room.
    """
    if length:
        os.posix_fallocate(handle, 0, length)


def _code(error: OSError | sqlite3.Error, place: Place) -> str | None:
    if isinstance(error, sqlite3.Error):
        code = _SQLITE.get(_primary(error))
        if code == FAILED and no_handle_left():
            return TOO_MANY
        return FULL if code == FAILED and place.free() < _SHARED_MEMORY else code
    if error.errno in _NO_ROOM:
        return FULL
    if error.errno in _NO_HANDLE:
        return TOO_MANY
    in_the_way = error.errno in _IN_THE_WAY and not _is_folder(place.folder)
    return FAILED if in_the_way or error.errno in _REFUSES else None


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # what it lies in cannot be looked into
        return False


def _primary(error: sqlite3.Error) -> int:
    # The extended code's low byte is the primary one; errors of the module itself have none.
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _hint(code: str, place: Place) -> str:
    if code == TOO_MANY:
        return RAISE_LIMIT
    if place.public:
        return "The operator takes care of it; waiting work then continues by itself."
    if code == FULL:
        ways = "df -h; df -i: files"
        return Text(
            "Free space in {folder} ({ways}); waiting work then continues by itself.",
            folder=place.folder,
            ways=ways,
        )
    if code == FAILED:
        return Text(
            "Check the disk of {folder}: is it mounted for writing, and for this "
            "user? Waiting work then continues by itself.",
            folder=place.folder,
        )
    return Text(
        "End the process that holds the file in {folder}; waiting work then continues by itself.",
        folder=place.folder,
    )


def remove(path: Path) -> None:
    """Remove a file if it is there, whatever else is wrong with the disk."""
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)
