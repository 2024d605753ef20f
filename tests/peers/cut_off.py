"""A file that cannot be written: the disk is full just then."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest


def cut_off_at(patched: pytest.MonkeyPatch, path: Path) -> None:
    """Let files be made beside `path` under its name, or one that begins with it, and not filled.

    What was made stays, empty, as where the process is killed just then.
    """
    real = os.open

    def opened(name: Any, flags: int, *more: Any, **named: Any) -> int:
        handle = real(name, flags, *more, **named)
        place = Path(os.fsdecode(name)) if not isinstance(name, int) else Path()
        if flags & os.O_CREAT and place.parent == path.parent and place.name.startswith(path.name):
            os.close(handle)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(name))
        return handle

    patched.setattr(os, "open", opened)
