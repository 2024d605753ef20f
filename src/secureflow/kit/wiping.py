"""Removes a folder that somebody else filled: of any depth, and of any names."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path


def wipe(folder: Path) -> None:
    """Remove a folder with everything in it, as far as that can be removed.

    `shutil.rmtree` calls itself for each level (Python 3.11), and a path of thousands of folders is
    longer than any system call takes: so what lies deeper is moved up, level by level.
    """
    with contextlib.suppress(OSError):
        while found := _entries(folder):
            for one in found:
                if one.is_dir(follow_symlinks=False):
                    _flatten(Path(one.path), folder)
                else:
                    Path(one.path).unlink()
        folder.rmdir()


def _flatten(inner: Path, folder: Path) -> None:
    """Remove a folder; those in it are moved into the outer one."""
    for one in _entries(inner):
        if one.is_dir(follow_symlinks=False):
            Path(one.path).chmod(0o700)
            Path(one.path).rename(folder / secrets.token_hex(16))
        else:
            Path(one.path).unlink()
    inner.rmdir()


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    folder.chmod(0o700)
    with os.scandir(folder) as entries:
        return list(entries)
