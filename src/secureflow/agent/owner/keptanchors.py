"""The file of anchors that an agent keeps for others, in a backup and out of one."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import BinaryIO, Final

from secureflow.agent.record.anchorplace import REACHED, RESTORED
from secureflow.agent.record.store import RecordStore

_PIECE: Final = 1 << 20


def copy_lines(file: Path, copy: Path) -> bool:
    """Copy the whole lines of the file; return whether there is one.

    The record is copied before: so the copy goes at least as far as the record's says.
    """
    try:
        with file.open("rb") as lines, copy.open("wb") as whole:
            shutil.copyfileobj(lines, whole)
    except FileNotFoundError:
        return False
    with copy.open("rb+") as whole:
        whole.truncate(_end_of_lines(whole))
    return True


def mark_lines(store: RecordStore) -> None:
    """Say in a restored record that the file is a backup's; in a transaction of the caller's."""
    if (reached := store.fact(REACHED)) is not None:
        store.set_fact(RESTORED, {"lines": reached["lines"]})


def _end_of_lines(file: BinaryIO) -> int:
    """Return where the last whole line ends."""
    at = file.seek(0, os.SEEK_END)
    while at > 0:
        start = max(0, at - _PIECE)
        file.seek(start)
        if (found := file.read(at - start).rfind(b"\n")) >= 0:
            return start + found + 1
        at = start
    return 0
