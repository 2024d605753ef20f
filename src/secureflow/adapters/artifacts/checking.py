"""Checks stored blobs against their names, which are digests of their content."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any, Final

from blake3 import blake3

from secureflow.kit.findings import Finding
from secureflow.kit.oserrors import reason_of
from secureflow.kit.plain import shown
from secureflow.kit.text import Text

PART: Final = "artefacts"
REMEDY: Final = "Restore the file from a backup; until then, it is reported as missing."
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_CHUNK: Final = 1 << 20
_OTHERS: Final = frozenset({"incoming", "vectors", "uploads"})


class ArtifactsCheck:
    """One check of the blobs below a directory.

    Args:
        directory: of `FileArtifacts`.
        part: the part named in findings.
        hasher: constructor of the hash in their names.
    """

    def __init__(
        self, directory: Path, part: str = PART, hasher: Callable[[], Any] = blake3
    ) -> None:
        self._directory = directory
        self._part = part
        self._hasher = hasher
        self.known: set[str] = set()
        self._unread = False

    def findings(self) -> Iterator[Finding]:
        """Yield every file whose name is not the digest of its content."""
        for folder in (yield from self._in(self._directory)):
            if folder.name in _OTHERS:
                continue
            if not folder.is_dir():
                yield Finding(
                    self._part,
                    Text("{folder} is not a blob of this platform.", folder=folder),
                    "Move it away.",
                )
                continue
            for path in (yield from self._in(folder)):
                yield from self._blob(path)

    def _in(self, folder: Path) -> Generator[Finding, None, list[Path]]:
        """Return what a folder holds; a finding for one that this user may not read."""
        try:
            return sorted(folder.iterdir()) if folder.is_dir() else []
        except OSError as error:
            self._unread = True
            yield Finding(
                self._part,
                Text("{path} cannot be read: {strerror}.", path=folder, strerror=reason_of(error)),
                "Run this as a user who may read it; what it holds was not checked.",
                "disk_failed",
            )
            return []

    def missing(self, digest: str, whose: str) -> Iterator[Finding]:
        """Yield a finding for a missing blob that something refers to; none if one is unreadable.

        It may lie in the folder that could not be read, which is named.
        """
        if digest not in self.known and not self._unread:
            yield Finding(
                self._part,
                Text("{whose}: its blob {digest} is missing.", whose=shown(whose), digest=digest),
                REMEDY,
            )

    def _blob(self, path: Path) -> Iterator[Finding]:
        if not _DIGEST.fullmatch(path.name) or path.parent.name != path.name[:2]:
            yield Finding(
                self._part,
                Text("{path} is not a blob of this platform.", path=path),
                "Move it away.",
            )
            return
        hasher = self._hasher()
        try:
            with path.open("rb") as file:
                while chunk := file.read(_CHUNK):
                    hasher.update(chunk)
        except FileNotFoundError:  # removed by the server meanwhile
            return
        except OSError as error:
            yield Finding(
                self._part,
                Text("{path} cannot be read: {strerror}.", path=path, strerror=reason_of(error)),
                REMEDY,
            )
            return
        self.known.add(path.name)
        if hasher.hexdigest() != path.name:
            yield Finding(
                self._part,
                Text("The content of {path} does not match its name.", path=path),
                REMEDY,
            )
