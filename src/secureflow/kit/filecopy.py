"""Copies of files by the kernel: extents are shared where the file system can, holes stay holes."""

from __future__ import annotations

import errno
import os
from typing import Final

_REFUSED: Final = frozenset({errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})
"""How a kernel or a file system says that it copies no ranges."""


def copy_bytes(source: int, target: int, length: int) -> None:
    """Copy the first bytes of a file into an empty one, which is that long afterwards.

    Holes stay holes. Another process may write into the source, or cut it short, meanwhile: what
    is missing of it then is zeros in the copy, and what comes later is not in it.

    Args:
        source: open for reading.
        target: open for writing, empty.
        length: bytes.

    Raises:
        OSError: there is no room, or a disk fails.
    """
    os.ftruncate(target, length)
    start = 0
    while start < length:
        try:
            start = os.lseek(source, start, os.SEEK_DATA)
            end = min(os.lseek(source, start, os.SEEK_HOLE), length)
        except OSError as error:
            if error.errno == errno.ENXIO:  # holes to the end
                return
            raise
        while start < end:
            copied = _copy(source, target, start, end - start)
            if not copied:  # it was cut short
                return
            start += copied


def _copy(source: int, target: int, start: int, count: int) -> int:
    try:
        return os.copy_file_range(source, target, count, start, start)
    except OSError as error:
        if error.errno not in _REFUSED:
            raise
    os.lseek(target, start, os.SEEK_SET)
    return os.sendfile(target, source, start, count)
