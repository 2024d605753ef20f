"""Compares the files of predictions with what this agent committed to when it wrote them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from secureflow.agent.owner.predictions import prediction_file
from secureflow.agent.record.records import OwnLeaf
from secureflow.agent.settings import AgentSettings
from secureflow.engines.run.kept import KEPT
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.filedigest import file_digest
from secureflow.kit.findings import Finding
from secureflow.kit.text import Text

PART = "predictions"


class PredictionsCheck:
    """One check of the files of predictions; one that its owner removed is no finding.

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
            if leaf.kind != KEPT or not isinstance(document, dict):
                continue
            try:
                path = prediction_file(self._settings, leaf.job)
                found = file_digest(path).hex()
            except (FileNotFoundError, SecureFlowError):
                continue
            self.count += 1
            if found != document.get("file"):
                yield Finding(
                    PART,
                    Text("{path} is not the file that this agent wrote.", path=path),
                    "Have the rows predicted again, or put the file back from a backup of yours.",
                )
