"""Files that are written atomically, even across kills and power loss."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import secrets
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_NEXT: Final = ".next"
_NO_LINKS: Final = frozenset({errno.EPERM, errno.ENOTSUP, errno.ENOSYS})
"""Errors of network and FUSE file systems without hard links."""


def write_atomically(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Replace a file durably: a crash leaves either the old one or the new one.

    Raises:
        OSError: it cannot be written; the old file is unchanged.
    """
    _write(path, path.with_name(path.name + _NEXT), os.O_TRUNC, data, mode)


def write_shared(path: Path, data: bytes) -> None:
    """Replace a file with mode 0600 that others replace as well: the last writer wins.

    Others are processes, and threads of this one.

    Raises:
        OSError: it cannot be written; the old file is unchanged.
    """
    writer = f"{os.getpid()}-{threading.get_native_id()}"  # two must not share a file
    beside = path.with_name(f"{path.name}.{writer}{_NEXT}")
    _write(path, beside, os.O_TRUNC, data, 0o600)


def write_new(path: Path, data: bytes) -> None:
    """Make a new file with mode 0600: complete and on disk, or not at all.

    Raises:
        FileExistsError: an existing file is never overwritten.
        OSError: it cannot be written; the name is still free.
    """
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        write_atomically(fresh, data)
        _take_name(fresh, path)
    except OSError as error:
        error.filename = str(path)
        raise
    finally:
        with contextlib.suppress(OSError):
            fresh.unlink()
    flush_directory(path.parent)


def _take_name(fresh: Path, path: Path) -> None:
    """Give a file a name that is not taken."""
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


def flush_filesystem(folder: Path) -> None:
    """Make everything durable that was written to the file system of a folder (syncfs(2)).

    Raises:
        OSError: the disk did not take it.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(handle):
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), str(folder))
    finally:
        os.close(handle)


def write_result(path: Path, data: bytes, mode: int | None = None) -> None:
    """Write a file at a path chosen by a person: completely, or the old file stays as it was.

    A link is followed to the file that is replaced; anything but a plain file (a pipe) is written
    into. Without a mode an existing file keeps its own. The temporary file has a unique name, since
    the folder belongs to the person.

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


@contextlib.contextmanager
def streamed_result(path: Path, mode: int | None = None) -> Iterator[Path]:
    """Yield where to write a result that comes in parts; it takes the place of `path` at the end.

    If the block fails the old file stays as it was. Into anything but a plain file (a pipe) is
    written directly. With a mode the file has it from its first byte on; without, that of an
    existing file is kept.

    Raises:
        OSError: it cannot take its place.
    """
    if path.exists() and not path.is_file():
        yield path
        return
    place = path.resolve()
    fresh = place.with_name(f".secureflow-{secrets.token_hex(8)}")
    try:
        if mode is not None:
            fresh.touch(mode, exist_ok=False)
        yield fresh
        if mode is None and path.exists():
            fresh.chmod(path.stat().st_mode & 0o777)
        with fresh.open("rb+") as file:
            os.fsync(file.fileno())
        fresh.replace(place)
    finally:
        with contextlib.suppress(OSError):
            fresh.unlink()
    flush_directory(place.parent)


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
        error.filename = str(path)  # not the temporary file
        raise
    flush_directory(path.parent)
