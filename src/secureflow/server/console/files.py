"""The built files of the console, found by exact name only: a request never makes a path.

`make web` and the build of the package put them into `dist`; a checkout has none until then.
"""

from __future__ import annotations

import mimetypes
from dataclasses import dataclass
from pathlib import Path
from typing import Final

DIST: Final = Path(__file__).parent / "dist"
_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".wasm": "application/wasm",
}


@dataclass(frozen=True)
class Asset:
    """A file that never changes under its name, which holds a digest of it.

    Args:
        path: of the file.
        media: its media type.
        squeezed: the same file, compressed with gzip, where there is one.
    """

    path: Path
    media: str
    squeezed: Path | None


@dataclass(frozen=True)
class Built:
    """What was built together.

    Args:
        made: when, in nanoseconds: a newer build is read anew.
        page: index.html, with places for the nonce and the prefix.
        assets: name → file.
    """

    made: int
    page: str
    assets: dict[str, Asset]


class Files:
    """The files of one build.

    Args:
        folder: where they are, if they were built.
    """

    def __init__(self, folder: Path = DIST) -> None:
        self._folder = folder
        self._built: Built | None = None

    def built(self) -> Built | None:
        """Return the build that lies there now; None where there is none."""
        index = self._folder / "index.html"
        try:
            made = index.stat().st_mtime_ns
            if self._built is None or self._built.made != made:
                self._built = Built(made, index.read_text(encoding="utf-8"), self._assets())
        except FileNotFoundError:
            self._built = None
        return self._built

    def _assets(self) -> dict[str, Asset]:
        found = [one for one in (self._folder / "assets").iterdir() if one.is_file()]
        names = {one.name for one in found}
        return {
            one.name: Asset(
                one,
                _media(one),
                one.with_name(f"{one.name}.gz") if f"{one.name}.gz" in names else None,
            )
            for one in found
            if one.suffix != ".gz"
        }


def _media(path: Path) -> str:
    guessed = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return _TYPES.get(path.suffix, guessed)
