"""The BLAKE3 digest of a folder: of every name in it, every size and every byte.

The folder is a list of entries, those of a folder sorted by the bytes of their names, each followed
by what is in it:

    kind (1 byte: d, f, l or x) | length of the path (4) | path | what the kind adds

with `/` between the names of a path and big-endian numbers. A file (f) adds its size (8) and the
BLAKE3 digest of its content (32), a link (l) the length of its target (4) and the target. Anything
else (x: a pipe, a socket, a device) adds nothing, and is never opened. The hash has its own
context, so that no file has the digest of a folder. Owners, modes and times do not count.

A change while it is read is noticed too: afterwards every entry must still have the number, size
and times that it had when it was read.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from blake3 import blake3

from secureflow.kit.filedigest import file_digest, handle_digest
from secureflow.kit.foldertree import (
    MAX_ENTRIES,
    Entry,
    FolderTree,
    entries_of,
    open_folder,
    open_regular,
    too_many,
)

MAX_DEPTH: Final = 16
_CONTEXT: Final = "secureflow/v1 folder digest"
_KINDS: Final = {"folder": b"d", "file": b"f", "link": b"l", "other": b"x"}


class FolderChangedError(OSError):
    """Something wrote into the folder while it was read."""


def content_digest(path: Path) -> bytes:
    """Return the 32-byte digest of a file, or of a folder and all that is in it.

    Raises:
        FolderChangedError: a folder changed while it was read.
        OSError: it cannot be read, or holds more than is read.
    """
    return folder_digest(path) if path.is_dir() else file_digest(path)


def folder_digest(path: Path) -> bytes:
    """Return the 32-byte digest of a folder; errors as `content_digest`."""
    with FolderTree(path) as tree:
        reading = _Walk(contents=True)
        reading.visit(tree.handle, b"", 1)
        looking = _Walk(contents=False)
        looking.visit(tree.handle, b"", 1)
    if reading.traces.digest() != looking.traces.digest():
        raise FolderChangedError
    return reading.contents.digest()


class _Walk:
    """One pass over a folder: what is in it, and the traces that a change would leave."""

    def __init__(self, *, contents: bool) -> None:
        self._reads = contents
        self._seen = 0
        self.contents = blake3(derive_key_context=_CONTEXT)
        self.traces = blake3()

    def visit(self, folder: int, path: bytes, depth: int) -> None:
        """Go over an open folder, whose path begins those of its entries."""
        if depth > MAX_DEPTH:
            raise too_many()
        entries = entries_of(folder)
        self._seen += len(entries)
        if self._seen > MAX_ENTRIES:
            raise too_many()
        for entry in entries:
            name = path + os.fsencode(entry.name)
            try:
                self._entry(folder, entry, name, depth)
            except FileNotFoundError:  # it was there a moment ago
                raise FolderChangedError from None

    def _entry(self, folder: int, entry: Entry, name: bytes, depth: int) -> None:
        self.contents.update(_KINDS[entry.kind] + _counted(name))
        if entry.kind == "folder":
            handle = open_folder(entry.name, folder)
            try:
                self._trace(name, os.fstat(handle))
                self.visit(handle, name + b"/", depth + 1)
            finally:
                os.close(handle)
        elif entry.kind == "file" and self._reads:
            handle = open_regular(entry.name, folder)
            try:
                before = os.fstat(handle)
                self._trace(name, before)
                self.contents.update(before.st_size.to_bytes(8, "big") + handle_digest(handle))
            finally:
                os.close(handle)
        else:
            self._trace(name, os.stat(entry.name, dir_fd=folder, follow_symlinks=False))
            if entry.kind == "link":
                target = os.readlink(entry.name, dir_fd=folder)
                self.contents.update(_counted(os.fsencode(target)))

    def _trace(self, name: bytes, about: os.stat_result) -> None:
        facts = (about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns, about.st_mode)
        self.traces.update(_counted(name) + repr(facts).encode())


def _counted(text: bytes) -> bytes:
    return len(text).to_bytes(4, "big") + text
