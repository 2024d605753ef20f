"""What models said of this organisation's rows: one file of each job, for its owner alone.

A file is `predictions/JOB.parquet` in the agent's folder; what others handed over to this
organisation is `predictions/JOB/PARTY.parquet`. They outlive their job until the owner removes
them. What the leaf of kind `kept` commits to is in the record: with its salt it proves later
which file was made with which model, also from a backup that does not hold the file.
"""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from secureflow.agent.owner.keptfiles import ENDING, compared, place_of
from secureflow.agent.owner.results import kept_kind
from secureflow.agent.record.records import OwnLeaf
from secureflow.agent.record.store import RecordStore
from secureflow.agent.settings import AgentSettings
from secureflow.domain.fieldfaults import ID_PATTERN
from secureflow.engines.run.kept import KEPT, RECEIVED
from secureflow.kit.canonical import JSON
from secureflow.kit.clock import Clock
from secureflow.kit.disk import Place, writing
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text


def prediction_file(settings: AgentSettings, job: str) -> Path:
    """Return where the predictions of a job are kept.

    Raises:
        SecureFlowError: `not_found` for what is no id of a job.
    """
    if not re.fullmatch(ID_PATTERN, job):
        raise _unknown(job)
    return settings.predictions / f"{job}{ENDING}"


def received_folder(settings: AgentSettings, job: str) -> Path:
    """Return where the predictions lie that others handed over to this organisation in a job."""
    return prediction_file(settings, job).with_suffix("")


def received_file(settings: AgentSettings, job: str, party: str) -> Path:
    """Return where another party's predictions are kept.

    Args:
        settings: of the agent.
        job: job id.
        party: of the job's roster.
    """
    return received_folder(settings, job) / f"{party}{ENDING}"


def kept_digest(leaf: OwnLeaf) -> str:
    """Return the digest of the file that an own leaf commits to."""
    return str((leaf.bundle.get("document") or {}).get("file", ""))


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
        """Return what was made and what others handed over, the newest first.

        `party` says whose rows it is of; a file's content is not compared.
        """
        kept = (one for one in self.store.leaves_of(KEPT) if self._predicted(one))
        leaves = sorted(
            (*kept, *self.store.leaves_of(RECEIVED)),
            key=lambda one: int(one.bundle["leaf"]["leaf"]["at"]),
            reverse=True,
        )
        return [told for leaf in leaves for told in self._each(leaf)]

    async def one(self, job: str) -> dict[str, JSON]:
        """Return what was made for a job, and compare its file with what was committed to.

        `state` is `kept`, `gone`, `altered` for a file that somebody has changed, or `unknown` if a
        restored record does not hold what was committed to; `leaf` is the entry of the log, with
        the document and the salt that open it; `received` are the files that others handed over,
        compared as well.

        Raises:
            SecureFlowError: `not_found`.
        """
        own, received = self._leaves(job)
        if own is None and received is None:
            raise _unknown(job)
        arrived = [] if received is None else list(self._each(received))
        found: dict[str, JSON] = {"job": job}
        if own is not None:
            (found,) = self._each(own)
            found |= {"proved": bool(own.proved), "hash": own.hash, "leaf": own.bundle}
        for one in (*([found] if own is not None else []), *arrived):
            await asyncio.to_thread(compared, one)
        return {**found, "received": arrived}

    def remove(self, job: str) -> dict[str, JSON]:
        """Remove the files of a job; the commitments to them stay in the record and in the log.

        Raises:
            SecureFlowError: `not_found`, also for files that are removed already;
                `disk_…` if they cannot be removed.
        """
        if self._leaves(job) == (None, None):
            raise _unknown(job)
        path, folder = prediction_file(self.settings, job), received_folder(self.settings, job)
        place = Place(path.parent, "own files", self.settings.organisation)
        if not path.exists() and not folder.exists():
            raise SecureFlowError(
                "not_found",
                Text("The predictions of {job} are removed already.", job=job),
                "secureflow agent prediction list",
            )
        with writing(place):
            path.unlink(missing_ok=True)
            if folder.exists():
                shutil.rmtree(folder)
        with self.store.transaction():
            self.store.note(self.clock(), "result.removed", job)
        return {"job": job, "path": str(path)}

    def _leaves(self, job: str) -> tuple[OwnLeaf | None, OwnLeaf | None]:
        """Return the leaves by which this party committed to its own file, and to others'."""
        own = self.store.leaf_of(job, KEPT)
        if own is not None and not self._predicted(own):
            own = None
        return own, self.store.leaf_of(job, RECEIVED)

    def _predicted(self, leaf: OwnLeaf) -> bool:
        """Tell whether what a leaf commits to are predictions; other kinds keep results, too."""
        return kept_kind(self.store, leaf) in {"prediction", ""}

    def _each(self, leaf: OwnLeaf) -> Iterator[dict[str, JSON]]:
        """Yield what is told of each file that a leaf commits to."""
        document: Mapping[str, Any] = leaf.bundle.get("document") or {}
        job = self.store.job(leaf.job)
        spec: Mapping[str, Any] = {} if job is None else job.spec
        shared = {
            "job": leaf.job,
            "name": str(spec.get("name", "")),
            "purpose": str(spec.get("purpose", "")),
            "at": leaf.bundle["leaf"]["leaf"]["at"],
        }
        if leaf.kind == KEPT:
            names = ("model", "dataset", "rows", "unfit", "bytes", "outputs", "columns", "file")
            told = {name: document.get(name) for name in names}
            path = prediction_file(self.settings, leaf.job)
            yield {**shared, "party": self.settings.organisation, **told, **place_of(path)}
            return
        files: Mapping[str, Any] = document.get("files") or {}
        for party, one in files.items():
            path = received_file(self.settings, leaf.job, party)
            yield {**shared, "party": party, **one, **place_of(path)}


def _unknown(job: str) -> SecureFlowError:
    return SecureFlowError(
        "not_found",
        Text("This agent keeps no predictions of a job {job}.", job=job[:80]),
        "secureflow agent prediction list shows those that it keeps, with the ids of their jobs.",
    )
