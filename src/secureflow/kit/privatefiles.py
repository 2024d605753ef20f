"""Files that only their owner may read: databases are made so, exposed secrets are refused.

A secret in a file that others can read may be known already: a process refuses it on startup rather
than use a key that may not be secret. Mounted secrets (Kubernetes with `fsGroup`) belong to root
and are read through a group: that group may read them, and nobody else.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Collection
from pathlib import Path
from typing import Final

from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

_ROOT = 0
DENIED: Final = (
    "Run this as a user who may read it, or copy it for this one: "
    "install -m 0600 -o USER FILE COPY."
)
"""The next step if a file cannot be read because of its owner or mode."""


def keep_private(path: Path) -> None:
    """Make a SQLite file with mode 0600, or change its mode to that, whatever the umask.

    SQLite gives its `-wal` and `-shm` files the mode of the database; those that an earlier version
    left are changed too. An existing file is not opened: closing it again would drop every POSIX
    lock that this process has on it, including those of SQLite's open connections, and another
    process could remove the write-ahead log under them.

    Raises:
        OSError: the file cannot be made or changed.
    """
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    if not path.is_file():
        raise OSError(errno.EINVAL, "it is not a file", str(path))
    for suffix in ("", "-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + suffix).chmod(0o600)


def read_private(path: Path) -> bytes:
    """Return the bytes of a secret's file, if nobody else can read it.

    Raises:
        SecureFlowError: `key_exposed`.
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        if exposed(os.fstat(file.fileno()), {os.getegid(), *os.getgroups()}):
            raise SecureFlowError(
                "key_exposed",
                Text("{path} can be read by others.", path=path),
                Text("chmod 600 {path}, and think about who may have read it.", path=path),
            )
        return file.read()


def exposed(status: os.stat_result, groups: Collection[int]) -> bool:
    """Tell whether users other than its owner and this process's groups can read a file.

    The mode of anything but a regular file (a shell's pipe) says nothing.
    """
    if not stat.S_ISREG(status.st_mode):
        return False
    mode = stat.S_IMODE(status.st_mode)
    if not mode & 0o077:
        return False
    mounted = status.st_uid == _ROOT and status.st_gid in groups
    return bool(mode & 0o037) or not mounted
