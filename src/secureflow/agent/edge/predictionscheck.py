"""Compares files of predictions and results with what this agent committed to in writing them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from secureflow.agent.owner.predictions import prediction_file, received_file
from secureflow.agent.owner.results import result_file
from secureflow.agent.record.records import OwnLeaf
from secureflow.agent.settings import AgentSettings
from secureflow.engines.run.kept import KEPT, RECEIVED
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.filedigest import file_digest
from secureflow.kit.findings import Finding
from secureflow.kit.text import Text

PART: Final = "predictions"
_HINT: Final = "Run its job again, or put the file back from a backup of yours."


class PredictionsCheck:
    """One check of these files; one that its owner removed is no finding.

    Args:
        settings: the agent's.
    """

    def __init__(self, settings: AgentSettings) -> None:
        self._settings = settings
        self.count = 0

    def findings(self, leaves: Iterable[OwnLeaf]) -> Iterator[Finding]:
        """Yield every file that is not the one that its leaf commits to."""
        for leaf in leaves:
            document = leaf.bundle.get("document") if isinstance(leaf.bundle, dict) else None
            if not isinstance(document, dict):
                continue
            for path, digest in self._files(leaf, document):
                try:
                    found = file_digest(path).hex()
                except FileNotFoundError:
                    continue
                self.count += 1
                if found != digest:
                    yield Finding(
                        PART,
                        Text("{path} is not the file that this agent wrote.", path=path),
                        _HINT,
                    )

    def _files(self, leaf: OwnLeaf, document: Mapping[str, Any]) -> Iterator[tuple[Path, object]]:
        """Yield the files that a leaf commits to, with their digests; none of a broken leaf."""
        try:
            if leaf.kind == KEPT and document.get("kind") != "prediction":
                if document.get("file"):
                    yield result_file(self._settings, leaf.job), document.get("file")
            elif leaf.kind == KEPT:
                yield prediction_file(self._settings, leaf.job), document.get("file")
            if leaf.kind == RECEIVED:
                for party, one in dict(document.get("files") or {}).items():
                    yield received_file(self._settings, leaf.job, party), one["file"]
        except (SecureFlowError, LookupError, TypeError, ValueError):
            return
