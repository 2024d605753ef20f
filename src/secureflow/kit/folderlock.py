"""Folder locks: on the folder itself, or on a file in it, until the process that holds it ends.

The kernel releases the lock however the process ends, so a killed one blocks nobody.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from secureflow.kit.errors import SecureFlowError

_MADE: Final = re.compile(r"[a-z0-9_]{8}")
"""What `tempfile` puts after a prefix."""
_TEMPORARY: Final = (Path("/tmp"), Path("/var/tmp"))  # noqa: S108  folders in them are 0700
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


@contextlib.contextmanager
def folder_lock(lock: Path, refusal: SecureFlowError, *, shared: bool = False) -> Iterator[None]:
    """Lock a folder, or a file that stays in it, while working in the folder.

    Args:
        lock: the folder, or the file, which is made if missing.
        refusal: raised if another process holds it.
        shared: together with other shared holders.
    """
    handle = os.open(lock, _DIRECTORY if lock.is_dir() else os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise refusal from error
        yield
    finally:
        os.close(handle)


@contextlib.contextmanager
def scratch(parent: Path, prefix: str) -> Iterator[Path]:
    """Yield a new folder, mode 0700, that is removed afterwards.

    What killed processes left behind is removed first: folders with the name and mode that this
    function gives, owned by this user, with plain files only, that nobody has locked.

    Raises:
        OSError: it cannot be made.
    """
    for left in sorted(parent.glob(f"{prefix}*")):
        if _MADE.fullmatch(left.name.removeprefix(prefix)):
            _clear(left)
    place, handle = _made(parent, prefix)
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)
        os.close(handle)


def temporary() -> Path:
    """Return the folder for temporary files: the first that exists and is writable for this user.

    Nothing is written to find out, unlike `tempfile.gettempdir`, which takes a full disk for a
    missing folder and settles on another one, in the end the working folder. A full one is chosen
    here: its writers wait for room.
    """
    named_folders = [
        Path(named) for name in ("TMPDIR", "TEMP", "TMP") if (named := os.environ.get(name))
    ]
    for place in (*named_folders, *_TEMPORARY):
        if place.is_dir() and os.access(place, os.W_OK | os.X_OK):
            return place.absolute()
    return _TEMPORARY[0]


def _made(parent: Path, prefix: str) -> tuple[Path, int]:
    while True:
        place = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        handle = os.open(place, _DIRECTORY)
        fcntl.flock(handle, fcntl.LOCK_EX)
        if os.fstat(handle).st_nlink:
            return place, handle
        os.close(handle)  # it was removed as left over before it was locked


def _clear(folder: Path) -> None:
    """Remove a folder if it was left behind; other things of such a name stay."""
    try:
        handle = os.open(folder, _DIRECTORY)
    except OSError:
        return
    try:
        about = os.fstat(handle)
        if about.st_uid != os.geteuid() or stat.S_IMODE(about.st_mode) != 0o700:
            return
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with os.scandir(handle) as entries:
            found = [(one.name, one.is_file(follow_symlinks=False)) for one in entries]
        if all(plain for _, plain in found):
            for name, _ in found:
                os.unlink(name, dir_fd=handle)
            folder.rmdir()
    except OSError:  # locked, or cannot be removed: it stays
        return
    finally:
        os.close(handle)
