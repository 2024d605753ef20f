"""The files that an engine returns: taken over its channel, under names and sizes of ours."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from secureflow.adapters.mpcengines.hostlines import HostLines, LineRefused
from secureflow.kit.disk import Place, writing

MOST: Final = 64
"""Files of one run."""
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_FLAGS: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_BLOCK: Final = 1 << 18


class TooLarge(LineRefused):
    """What is announced is more than may come."""


class Outputs:
    """Writes them into a folder.

    Args:
        folder: of the job; what lies there already is never replaced.
        names: those that may come; None for any plain name.
        most: bytes of all of them.
    """

    def __init__(self, folder: Path, names: frozenset[str] | None, most: int) -> None:
        self._folder = folder
        self._names = names
        self._left = most
        self.kept: dict[str, Path] = {}

    async def take(
        self, told: Mapping[str, Any], lines: HostLines, sign: Callable[[], None]
    ) -> None:
        """Take the file that a message announces.

        Args:
            told: the message.
            lines: bring the bytes.
            sign: is called with every block.

        Raises:
            LineRefused: it was not declared; `TooLarge`.
            Ended: it ends too early.
            InfrastructureError: there is no room.
        """
        name, left = told.get("name"), told.get("bytes")
        if not isinstance(name, str) or not self._may(name):
            reason = "it returns a file that was not declared"
            raise LineRefused(reason)
        if type(left) is not int or not 0 <= left <= self._left:
            raise TooLarge
        self._left -= left
        path = self._folder / name
        with writing(Place(self._folder, "own files"), left):
            handle = _made(path)
            self.kept[name] = path
            try:
                while left:
                    data = await lines.raw(min(left, _BLOCK))
                    left -= len(data)
                    sign()
                    await asyncio.to_thread(_write, handle, data)
            finally:
                os.close(handle)

    def remove(self) -> None:
        """Remove what was taken."""
        for path in self.kept.values():
            with contextlib.suppress(OSError):
                path.unlink()
        self.kept.clear()

    def _may(self, name: str) -> bool:
        if name in self.kept or len(self.kept) >= MOST:
            return False
        return name in self._names if self._names is not None else bool(_NAME.fullmatch(name))


def _made(path: Path) -> int:
    try:
        return os.open(path, _FLAGS, 0o600)
    except FileExistsError as error:
        reason = "a file of its name is there already"
        raise LineRefused(reason) from error


def _write(handle: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]
