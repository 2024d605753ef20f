"""What models said of this organisation's rows: one file of each job, for its owner alone.

A file is `predictions/JOB.parquet` in the agent's folder. It outlives its job until the owner
removes it. What the leaf of kind `kept` commits to is in the record: with its salt it proves later
which file was made with which model, also from a backup that does not hold the file.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from secureflow.agent.record.records import OwnLeaf
from secureflow.agent.record.store import RecordStore
from secureflow.agent.settings import AgentSettings
from secureflow.engines.run.kept import KEPT
from secureflow.kit.canonical import JSON
from secureflow.kit.clock import Clock
from secureflow.kit.disk import Place, writing
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.filedigest import file_digest
from secureflow.kit.text import Text

_ENDING: Final = ".parquet"
_JOB: Final = re.compile(r"[a-z]{2,4}_[0-9a-z]{8,40}")


def prediction_file(settings: AgentSettings, job: str) -> Path:
    """Return where the predictions of a job are kept.

    Raises:
        SecureFlowError: `not_found` for what is no id of a job.
    """
    if not _JOB.fullmatch(job):
        raise _unknown(job)
    return settings.predictions / f"{job}{_ENDING}"


@dataclass(frozen=True)
class KeptPredictions:
    """The predictions that this agent has made.

    Args:
        settings: of the agent.
        store: its record.
        clock: unix seconds.
    """

    settings: AgentSettings
    store: RecordStore
    clock: Clock

    def every(self) -> list[dict[str, JSON]]:
        """Return what was made, the newest first; a file's content is not compared."""
        return [self._told(leaf) for leaf in reversed(self.store.leaves_of(KEPT))]

    async def one(self, job: str) -> dict[str, JSON]:
        """Return what was made for a job, and compare its file with what was committed to.

        `state` is `kept`, `gone`, or `altered` for a file that somebody has changed; `leaf` is
        the entry of the log, with the document and the salt that open it.

        Raises:
            SecureFlowError: `not_found`.
        """
        leaf = self._leaf(job)
        found = self._told(leaf)
        path, document = prediction_file(self.settings, job), leaf.bundle.get("document") or {}
        if found["state"] == "kept":
            digest = await asyncio.to_thread(_digest, path)
            if digest != document.get("file"):
                found["state"] = "altered" if digest else "gone"
        return {**found, "proved": bool(leaf.proved), "hash": leaf.hash, "leaf": leaf.bundle}

    def remove(self, job: str) -> dict[str, JSON]:
        """Remove the file of a job; the commitment to it stays in the record and in the log.

        Raises:
            SecureFlowError: `not_found`, also for a file that is removed already;
                `disk_…` if it cannot be removed.
        """
        self._leaf(job)
        path = prediction_file(self.settings, job)
        place = Place(path.parent, "own files", self.settings.organisation)
        try:
            with writing(place):
                path.unlink()
        except FileNotFoundError:
            raise SecureFlowError(
                "not_found",
                Text("The predictions of {job} are removed already.", job=job),
                "secureflow agent prediction list",
            ) from None
        with self.store.transaction():
            self.store.note(self.clock(), "result.removed", job)
        return {"job": job, "path": str(path)}

    def _leaf(self, job: str) -> OwnLeaf:
        found = next((one for one in self.store.leaves(job) if one.kind == KEPT), None)
        if found is None:
            raise _unknown(job)
        return found

    def _told(self, leaf: OwnLeaf) -> dict[str, JSON]:
        path = prediction_file(self.settings, leaf.job)
        document: Mapping[str, Any] = leaf.bundle.get("document") or {}
        spec: Mapping[str, Any] = {}
        if (job := self.store.job(leaf.job)) is not None:
            spec = job.spec
        names = ("model", "dataset", "rows", "unfit", "bytes", "outputs", "columns", "file")
        return {
            "job": leaf.job,
            "name": str(spec.get("name", "")),
            "purpose": str(spec.get("purpose", "")),
            "at": leaf.bundle["leaf"]["leaf"]["at"],
            **{name: document.get(name) for name in names},
            "state": "kept" if path.is_file() else "gone",
            "path": str(path),
        }


def _digest(path: Path) -> str:
    try:
        return file_digest(path).hex()
    except FileNotFoundError:
        return ""


def _unknown(job: str) -> SecureFlowError:
    return SecureFlowError(
        "not_found",
        Text("This agent keeps no predictions of a job {job}.", job=job[:80]),
        "secureflow agent prediction list shows those that it keeps, with the ids of their jobs.",
    )
