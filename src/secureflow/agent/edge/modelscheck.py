"""Checks the stored models of jobs against their names, which are digests of their content."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from blake3 import blake3

from secureflow.kit.findings import Finding
from secureflow.kit.oserrors import reason_of
from secureflow.kit.privatefiles import DENIED
from secureflow.kit.text import Text


class ModelsCheck:
    """One check of the models of jobs."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.count = 0

    def findings(self) -> Iterator[Finding]:
        """Yield every model whose content does not match its name."""
        for path in sorted(self._directory.glob("*/*.model")):
            try:
                found = blake3(path.read_bytes()).hexdigest()
            except FileNotFoundError:  # the next round removed it
                continue
            except OSError as error:
                unread = Text("{path} cannot be read: {strerror}.", path=path,
                              strerror=reason_of(error))  # fmt: skip
                yield Finding("models", unread, DENIED, "disk_failed")
                continue
            self.count += 1
            if found != path.stem:
                hint = "Remove it: the agent fetches it again when it needs it."
                yield Finding(
                    "models",
                    Text("The content of {path} does not match its name.", path=path),
                    hint,
                )
