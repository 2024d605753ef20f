"""What this organisation learned in computations with others: one file of each job, for its owner.

A file is `results/JOB.parquet` in the agent's folder. It outlives its job until the owner removes
it. The own leaf of kind `kept` commits to what it is, and to what it was made of: of whose
datasets, by which committed lists, in which attempt. A dataset whose declaration names the job
(`result: {job, domain}`) stays in the privacy domain of the data that this organisation gave to
that job: what further jobs reveal of it counts where it counted before (`publications`).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from secureflow.agent.owner.keptfiles import ENDING, compared, place_of
from secureflow.agent.owner.peerentries import peer_entries
from secureflow.agent.owner.publications import result_data
from secureflow.agent.record.records import OwnLeaf
from secureflow.agent.record.store import RecordStore
from secureflow.agent.settings import AgentSettings
from secureflow.domain.fieldfaults import ID_PATTERN
from secureflow.engines.run.kept import KEPT
from secureflow.kit.canonical import JSON
from secureflow.kit.clock import Clock
from secureflow.kit.disk import Place, writing
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

_TOLD: Final = (
    *("kind", "learns", "join", "rows", "matched", "bytes", "file", "attempt", "dataset", "data"),
    *("inputs", "peers"),
)


def result_file(settings: AgentSettings, job: str) -> Path:
    """Return where the result of a job is kept.

    Raises:
        SecureFlowError: `not_found` for what is no id of a job.
    """
    if not re.fullmatch(ID_PATTERN, job):
        raise _unknown(job)
    return settings.results / f"{job}{ENDING}"


def kept_kind(store: RecordStore, leaf: OwnLeaf) -> str:
    """Return the kind of job in which an own leaf commits to what is kept.

    A restored record may lack the document; then the approved spec says it.
    """
    document = leaf.bundle.get("document")
    if isinstance(document, dict) and document.get("kind"):
        return str(document["kind"])
    job = store.job(leaf.job)
    return "" if job is None else str(job.spec.get("kind", ""))


@dataclass(frozen=True)
class KeptOutcomes:
    """The results that this agent keeps.

    Args:
        settings: of the agent.
        store: its record.
        clock: unix seconds.
        kinds: the kinds of job of which it keeps results of this sort.
    """

    settings: AgentSettings
    store: RecordStore
    clock: Clock
    kinds: frozenset[str] = frozenset({"psi", "mpc"})

    def every(self) -> list[dict[str, JSON]]:
        """Return what is kept, the newest first; a file's content is not compared."""
        leaves = [one for one in self.store.leaves_of(KEPT) if self._is_one(one)]
        leaves.sort(key=lambda one: int(one.bundle["leaf"]["leaf"]["at"]), reverse=True)
        return [self._told(leaf) for leaf in leaves]

    async def one(self, job: str) -> dict[str, JSON]:
        """Return what is kept of a job, and compare its file with what was committed to.

        `state` is `kept`, `gone`, `altered`, `told` for a result without a file, or `unknown` if a
        restored record does not hold what was committed to; `leaf` is the entry of the log, with
        the document and the salt that open it; `datasets` are those that are declared as this
        result.

        Raises:
            SecureFlowError: `not_found`.
        """
        leaf = self.store.leaf_of(job, KEPT)
        if leaf is None or not self._is_one(leaf):
            raise _unknown(job)
        found = self._told(leaf)
        await asyncio.to_thread(compared, found)
        entry = {"proved": bool(leaf.proved), "hash": leaf.hash, "leaf": leaf.bundle}
        return {**found, "datasets": self._declared(job), **entry}

    def entries(self, job: str) -> list[dict[str, JSON]]:
        """Return what the peers of a job signed for its attempts; see `peer_entries`."""
        return peer_entries(self.store, job)

    def remove(self, job: str) -> dict[str, JSON]:
        """Remove the file of a job; the commitment to it stays in the record and in the log.

        Raises:
            SecureFlowError: `not_found`, also for a file that is removed already; `disk_…`.
        """
        leaf = self.store.leaf_of(job, KEPT)
        if leaf is None or not self._is_one(leaf):
            raise _unknown(job)
        path = result_file(self.settings, job)
        if not path.exists():
            raise SecureFlowError(
                "not_found",
                Text("The result of {job} has no file, or it is removed already.", job=job),
                "secureflow agent results list",
            )
        with writing(Place(path.parent, "own files", self.settings.organisation)):
            path.unlink()
        with self.store.transaction():
            self.store.note(self.clock(), "result.removed", job)
        return {"job": job, "path": str(path)}

    def _declared(self, job: str) -> list[str]:
        """Return the datasets that are declared as a job's result."""
        declared = ((one.name, one.result) for one in self.settings.datasets)
        return [name for name, of in declared if of is not None and of.job == job]

    def _is_one(self, leaf: OwnLeaf) -> bool:
        return kept_kind(self.store, leaf) in self.kinds

    def _told(self, leaf: OwnLeaf) -> dict[str, JSON]:
        document: Mapping[str, Any] = leaf.bundle.get("document") or {}
        job = self.store.job(leaf.job)
        spec: Mapping[str, Any] = {} if job is None else job.spec
        found = place_of(result_file(self.settings, leaf.job))
        if not document:
            found["state"] = "unknown"
        elif not document.get("file"):
            found["state"] = "told"
        data = result_data(self.store, leaf.job)
        return {
            "job": leaf.job,
            "name": str(spec.get("name", "")),
            "purpose": str(spec.get("purpose", "")),
            "at": leaf.bundle["leaf"]["leaf"]["at"],
            **{name: document.get(name) for name in _TOLD},
            "domain": None if data is None else data.domain,
            **found,
        }


def _unknown(job: str) -> SecureFlowError:
    return SecureFlowError(
        "not_found",
        Text("This agent keeps no result of a job {job}.", job=job[:80]),
        "secureflow agent results list shows those that it keeps, with the ids of their jobs.",
    )
