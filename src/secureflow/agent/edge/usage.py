"""Who used which of this organisation's data: from the agent's own record, against its own leaves.

Every approved job is a row: who asked, what for, which columns, under which approval, what it cost,
what was sent and voted on, and how it ended. The record is then compared with the leaves that this
organisation signed: they are what the ledger has, also after the record was restored.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from secureflow.agent.job.context import AgentContext
from secureflow.agent.record.records import JobRecord
from secureflow.agent.record.restored import forgotten
from secureflow.domain.specs.base import JobSpec, dataset_name
from secureflow.engines.ledger.ends import FINISHED
from secureflow.kit.canonical import JSON
from secureflow.kit.text import Text

APPROVAL: Final = "approval"
_MOST: Final = 10_000
"""Jobs of one report, the newest."""


class Usage:
    """Reports the use of data.

    Args:
        context: the party.
    """

    def __init__(self, context: AgentContext) -> None:
        self._context = context
        self._store = context.store

    def running(self, dataset: str = "") -> dict[str, JSON]:
        """Return `{uses}` of the jobs that run now, without a comparison; it blocks."""
        known = (self._store.job(name) for name in self._store.open_jobs())
        uses = [self._use(job) for job in known if job is not None and not forgotten(job)]
        return {"uses": [one for one in uses if dataset in {"", one["dataset"]}]}

    def report(self, dataset: str = "") -> dict[str, JSON]:
        """Return `{uses, differences}` of one dataset, or of all, the newest first; it blocks."""
        jobs = self._store.jobs(_MOST)
        uses = [self._use(job) for job in jobs if not forgotten(job)]
        wanted = [one for one in uses if dataset in {"", one["dataset"]}]
        return {"uses": wanted, "differences": list(self._differences(jobs))}

    def _use(self, job: JobRecord) -> dict[str, JSON]:
        context = self._context
        spec: JobSpec = context.kinds.specs.parse(job.spec, stored=True)
        listed = context.party in spec.parties
        facts, charged = self._facts(job.job)
        use = self._store.grant_use(job.job)
        rounds = self._store.rounds(job.job)
        votes = [one for one in rounds if self._store.vote(one.job, one.round, one.stage)]
        return {
            "job": job.job,
            "dataset": dataset_name(spec, context.party) if listed else "",
            "at": job.approved_at,
            "expires": job.expires,
            "project": spec.project,
            "purpose": spec.purpose,
            "kind": spec.kind,
            "requester": spec.submitter,
            "parties": list(spec.parties),
            "columns": list(spec.columns_of(context.party)) if listed else [],
            "approval": facts.get("by", ""),
            "grant": "" if use is None else use.grant,
            "epsilon": charged if charged is not None else facts.get("epsilon"),
            "rounds": len(rounds),
            "votes": len(votes),
            "outcome": job.outcome or "running",
        }

    def _facts(self, job: str) -> tuple[Mapping[str, Any], float | None]:
        """Return how a job was approved last, and the ε that was charged if that is known."""
        approved: Mapping[str, Any] = {}
        charged: float | None = None
        for one in reversed(self._store.actions(job=job, limit=_MOST)):
            if one["action"] in {"job.approved", "job.renewed"}:
                approved = {**approved, **one["facts"]}
            if one["action"] == "job.finished" and "epsilon" in one["facts"]:
                charged = float(one["facts"]["epsilon"])
        return approved, charged

    def _differences(self, jobs: Iterable[JobRecord]) -> Iterable[dict[str, JSON]]:
        """Yield what record and leaves do not agree on."""
        known = {job.job: job for job in jobs}
        signed: dict[str, set[str]] = {}
        unproved: dict[str, int] = {}
        for leaf in self._store.every_leaf():
            if leaf.job:
                signed.setdefault(leaf.job, set()).add(leaf.kind)
                unproved[leaf.job] = unproved.get(leaf.job, 0) + (not leaf.proved)
        for name in sorted(signed):
            job = known.get(name) or self._store.job(name)
            if job is None or forgotten(job):
                yield _difference(
                    name,
                    "ledger_only",
                    Text(
                        "This organisation signed {kinds} in it, and the record does not know it.",
                        kinds=", ".join(sorted(signed[name])),
                    ),
                )
            elif unproved[name] and job.outcome:
                yield _difference(
                    name,
                    "unproved",
                    Text(
                        "It is over, and {count} of its entries are not proved to be in the log.",
                        count=unproved[name],
                    ),
                )
            elif not job.outcome and FINISHED in signed[name]:
                yield _difference(name, "ended", "Its end was signed, and it runs in the record.")
        for name in sorted(known):
            if not forgotten(known[name]) and APPROVAL not in signed.get(name, set()):
                yield _difference(
                    name, "record_only", "The record approved it, and no approval was signed."
                )


def _difference(job: str, kind: str, message: str) -> dict[str, JSON]:
    return {"job": job, "difference": kind, "message": message}
