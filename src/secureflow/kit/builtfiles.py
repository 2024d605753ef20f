"""The built files of a web page, found by exact name only: a request never makes a path.

The build of the package puts them into a folder beside the code that serves them; a checkout has
none until `make web`.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_KINDS: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".wasm": "application/wasm",
    ".woff2": "font/woff2",
}
_OTHER: Final = "application/octet-stream"
PARTS: Final = "/assets/"
"""Where the parts are, below the page's prefix."""
_REFUSED: Final = re.compile(r"\s*q\s*=\s*0(?:\.0{0,3})?\s*")


@dataclass(frozen=True)
class BuiltFile:
    """A file that never changes under its name, which holds a digest of it.

    Args:
        path: of the file.
        kind: its media type.
        squeezed: the same, compressed with gzip, where there is one.
    """

    path: Path
    kind: str
    squeezed: Path | None

    def sent(self, encodings: str, scope: str) -> tuple[Path, dict[str, str]]:
        """Return the file to send and its headers: it is kept for good.

        Args:
            encodings: the `Accept-Encoding` of the request.
            scope: whose caches keep it: `public` or `private`.
        """
        kept = f"{scope}, max-age=31536000, immutable"
        headers = {"Cache-Control": kept, "Vary": "Accept-Encoding"}
        if self.squeezed is None or not takes_gzip(encodings):
            return self.path, headers
        return self.squeezed, {**headers, "Content-Encoding": "gzip"}


class BuiltPage:
    """One page and the parts of its program.

    Args:
        folder: with index.html and assets, if it was built.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made = -1
        self._page = ""
        self._parts: dict[str, BuiltFile] = {}

    def page(self) -> str | None:
        """Return index.html as it was built; None where nothing was."""
        self._read()
        return self._page or None

    def answer(self, prefix: str) -> tuple[str, str] | None:
        """Return the page for one answer, and its nonce; None where nothing was built.

        The nonce is of this answer alone: the content policy allows by it the styles that the
        program makes (CSP level 3, 6.7.2).

        Args:
            prefix: the path under which the page is served.
        """
        page, nonce = self.page(), secrets.token_urlsafe(18)
        if page is None:
            return None
        filled = page.replace("__NONCE__", nonce).replace("__PREFIX__", prefix)
        return filled.replace('"./assets/', f'"{prefix}{PARTS}'), nonce

    def part(self, name: str) -> BuiltFile | None:
        """Return a part by its exact name."""
        self._read()
        return self._parts.get(name)

    def _read(self) -> None:
        index = self._folder / "index.html"
        try:
            made = index.stat().st_mtime_ns
            if made != self._made:
                page, parts = index.read_text("utf-8"), _parts_in(self._folder / "assets")
                self._made, self._page, self._parts = made, page, parts
        except FileNotFoundError:
            self._made, self._page, self._parts = -1, "", {}


def _parts_in(folder: Path) -> dict[str, BuiltFile]:
    found = {one.name: one for one in folder.iterdir() if one.is_file()}
    return {
        name: BuiltFile(one, _KINDS.get(one.suffix, _OTHER), found.get(f"{name}.gz"))
        for name, one in found.items()
        if one.suffix != ".gz"
    }


def takes_gzip(encodings: str) -> bool:
    """Tell whether an `Accept-Encoding` takes gzip (RFC 9110, 12.5.3)."""
    for one in encodings.lower().split(","):
        name, _, rest = one.partition(";")
        if name.strip() in {"gzip", "*"}:
            return not _REFUSED.fullmatch(rest)
    return False
