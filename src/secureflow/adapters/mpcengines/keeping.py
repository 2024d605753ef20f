"""What an attempt keeps for the next one: whole files, under plain names, below a bound.

A run cannot be resumed; parts of it that are done, such as buckets of an intersection, need not run
again. What is kept lies with the job at this party and is removed with it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from secureflow.adapters.mpcengines.hostlines import HostLines
from secureflow.adapters.mpcengines.outputs import Outputs

MOST: Final = 2048
"""Files that are kept: the engine of a further attempt sees each by a path of its own."""
_PART: Final = "part-"
"""What is written under a name of this kind is not whole."""


class Kept:
    """Files that a job keeps.

    Args:
        folder: of the job; None keeps nothing.
        most: bytes of all, those of earlier attempts too.
    """

    def __init__(self, folder: Path | None, most: int) -> None:
        self.files: dict[str, Path] = {}
        self._folder = folder
        self._most = most
        for one in () if folder is None else sorted(folder.iterdir()):
            if one.name.startswith(_PART):  # an attempt died while it came
                one.unlink()
            elif one.is_file() and not one.is_symlink() and len(self.files) < MOST:
                self.files[one.name] = one
                self._most -= one.stat().st_size

    async def take(
        self, told: Mapping[str, Any], lines: HostLines, sign: Callable[[], None]
    ) -> None:
        """Take the file that a message announces; see `Outputs.take`.

        Raises:
            LineRefused: its name or size is refused; a name that is kept already is one, and there
                are `MOST` of them.
            Ended: it ends too early.
            OSError: there is no room.
        """
        name = told.get("name")
        plain = isinstance(name, str) and name and not name.startswith(_PART)
        refused = self._folder is None or not plain or name in self.files
        refused = refused or len(self.files) >= MOST
        names = frozenset[str]() if refused else None
        taking = Outputs(self._folder or Path(), names, self._most)
        await taking.take({**told, "name": f"{_PART}{name}"}, lines, sign)
        for part, path in taking.kept.items():
            whole = path.with_name(part.removeprefix(_PART))
            self._most -= path.stat().st_size
            await asyncio.to_thread(_settle, path, whole)
            self.files[whole.name] = whole


def _settle(path: Path, whole: Path) -> None:
    """Have a file on the disk before it has its name."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
    path.rename(whole)
