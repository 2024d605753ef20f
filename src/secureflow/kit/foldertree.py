"""A folder whose content others may write: opened once, and never left by a link.

Everything is opened relative to the folder's own handle, name by name, without following links, and
only regular files are opened for reading: a link to a file outside, a pipe that blocks its reader
or a device that never ends is an error, or an entry that is listed and not opened.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, Self

MAX_ENTRIES: Final = 1_000_000
"""The most names in a folder and everything below it."""

_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Without O_NONBLOCK, opening a pipe waits for its writer.
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True)
class Entry:
    """A name in a folder, and what stands under it; `other` is a pipe, socket or device."""

    name: str
    kind: Literal["file", "folder", "link", "other"]


class FolderTree:
    """An open folder; a context manager.

    Args:
        path: the folder itself may be named by a link: its owner chose it.

    Raises:
        OSError: it does not exist, or is no folder.
    """

    def __init__(self, path: Path) -> None:
        self.handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.handle)

    def entries(self, *within: str) -> list[Entry]:
        """Return what is in the folder, or in one within, sorted by the bytes of its names.

        Raises:
            OSError: there is no such folder, a part of its name is a link, or it has more than
                `MAX_ENTRIES` names.
        """
        handle = self._folder(within)
        try:
            return entries_of(handle)
        finally:
            os.close(handle)

    def open(self, parts: Sequence[str]) -> int:
        """Return a handle for reading a regular file; the caller closes it.

        Args:
            parts: the names of the folders within, and of the file.

        Raises:
            OSError: there is no such file, it is not a regular one, or a part of its name is a
                link or leads elsewhere.
        """
        folder = self._folder(parts[:-1])
        try:
            return open_regular(parts[-1] if parts else "", folder)
        finally:
            os.close(folder)

    def _folder(self, parts: Sequence[str]) -> int:
        handle = os.dup(self.handle)
        try:
            for part in parts:
                following = os.open(_plain(part), _DIRECTORY, dir_fd=handle)
                os.close(handle)
                handle = following
        except BaseException:  # whatever it is, the handle must not stay open
            os.close(handle)
            raise
        return handle


def entries_of(handle: int) -> list[Entry]:
    """Return what is in an open folder; see `FolderTree.entries`."""
    found: list[Entry] = []
    with os.scandir(handle) as listing:
        for one in listing:
            found.append(Entry(one.name, _kind(one)))
            if len(found) > MAX_ENTRIES:
                raise too_many()
    return sorted(found, key=lambda entry: os.fsencode(entry.name))


def open_folder(name: str, folder: int) -> int:
    """Return a handle of a folder within an open one, which is not a link."""
    return os.open(_plain(name), _DIRECTORY, dir_fd=folder)


def open_regular(name: str, folder: int) -> int:
    """Return a handle of a regular file within an open folder, which is not a link."""
    handle = os.open(_plain(name), _FILE, dir_fd=folder)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "it is not a regular file")
    return handle


def read_at_most(handle: int, most: int) -> bytes:
    """Return the content of an open file: one byte more than `most` if it is longer than that."""
    pieces, rest = [], most + 1
    while rest and (piece := os.read(handle, min(rest, 1 << 20))):
        pieces.append(piece)
        rest -= len(piece)
    return b"".join(pieces)


def too_many() -> OSError:
    """Return the error for a folder that holds more than anybody reads."""
    return OSError(errno.E2BIG, "it holds too many files, or folders too deep within each other")


def _plain(name: str) -> str:
    if name in {"", ".", ".."} or "/" in name or "\0" in name:
        raise OSError(errno.EINVAL, "it is not the name of a file")
    return name


def _kind(entry: os.DirEntry[str]) -> Literal["file", "folder", "link", "other"]:
    if entry.is_symlink():
        return "link"
    if entry.is_dir(follow_symlinks=False):
        return "folder"
    return "file" if entry.is_file(follow_symlinks=False) else "other"
