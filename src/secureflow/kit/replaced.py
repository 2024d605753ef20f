"""What a restore replaces is kept completely, however often the restore is interrupted.

The files of a folder go into `before-restore` in it, which is renamed to a unique name once all are
there: the next try continues with one that was not renamed yet.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from secureflow.kit.atomic import flush_directory, write_atomically

_OPEN: Final = "before-restore"


def keep_replaced(
    folder: Path,
    moved: Sequence[Path],
    copied: Sequence[Path] = (),
    before: Callable[[], object] = lambda: None,
) -> None:
    """Keep a folder's files, as far as they exist, in one new folder in it.

    Args:
        folder: of the files.
        moved: files that belong together; they are moved.
        copied: small ones that are rewritten in place.
        before: called once the copies are there, before the first file is moved.

    Raises:
        OSError: something is not set aside yet; nothing is lost, and the next try continues.
    """
    opened = folder / _OPEN
    there = [path for path in moved if path.exists()]
    if any((opened / path.name).exists() for path in there):  # others were put there
        _close(opened)
    kept = [path for path in copied if path.exists() and not (opened / path.name).exists()]
    if there or kept:
        opened.mkdir(mode=0o700, exist_ok=True)
    for path in kept:
        write_atomically(opened / path.name, path.read_bytes())
    before()
    for path in there:
        path.replace(opened / path.name)
    if opened.is_dir():
        _close(opened)


def _close(opened: Path) -> None:
    flush_directory(opened)
    opened.replace(tempfile.mkdtemp(prefix=f"{_OPEN}-", dir=opened.parent))
    flush_directory(opened.parent)
