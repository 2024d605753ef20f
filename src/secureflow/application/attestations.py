"""The verdicts of agents on the enclave, as they stand in the ledger: who accepted what, and when.

Each agent verifies the evidence itself; what is listed is what it signed. Evidence under the root
named SIMULATED protects nothing from the operator, and is told as that wherever it is shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from secureflow.application.access import Principal, require, seen_projects
from secureflow.application.links import ATTESTED
from secureflow.application.ports.ledger import Ledger, LogEntry
from secureflow.application.ports.storage import UnitOfWork, UnitOfWorkFactory


@dataclass(frozen=True)
class Attestation:
    """A verdict on the evidence of an enclave; digests in hex, `at` unix seconds.

    `hpke` and `release` are the keys that the evidence binds. Without a word that evidence is
    genuine it counts as simulated.
    """

    index: int
    at: int
    party: str
    job: str
    generation: int
    evidence: str
    hpke: str
    release: str
    tier: str
    simulated: bool


@dataclass(frozen=True)
class AttestationPage:
    """Verdicts, newest first, and where the next page begins (0: at the end)."""

    items: list[Attestation]
    next: int


class Attestations:
    """Use cases around verdicts."""

    def __init__(self, begin: UnitOfWorkFactory, ledger: Ledger) -> None:
        self._begin = begin
        self._ledger = ledger

    async def list(
        self, principal: Principal, *, party: str = "", before: int = 0, limit: int = 50
    ) -> AttestationPage:
        """Return the verdicts on enclaves of jobs that the caller sees, newest first."""
        require(principal, "audit.read")
        found = await self._ledger.search(kind=ATTESTED, author=party, before=before, limit=limit)
        async with self._begin() as work:
            seen = await self._seen(work, principal, found)
        more = found[-1].index if len(found) == limit else 0
        return AttestationPage([_verdict(one) for one in found if one.index in seen], more)

    async def _seen(
        self, work: UnitOfWork, principal: Principal, found: Sequence[LogEntry]
    ) -> set[int]:
        if principal.operator:
            return {one.index for one in found}
        projects = set((await seen_projects(work, principal) or {}).get("project", ()))
        jobs = {}
        for key in {one.job for one in found}:
            job = await work.jobs.find(key)
            jobs[key] = job is not None and job.project in projects
        return {one.index for one in found if jobs[one.job]}


def _verdict(entry: LogEntry) -> Attestation:
    document = entry.document if isinstance(entry.document, dict) else {}

    def text(name: str) -> str:
        return str(document.get(name, ""))[:512]

    generation = document.get("generation")
    return Attestation(
        entry.index, entry.at, entry.author, entry.job,
        generation if isinstance(generation, int) else 0,
        text("evidence"), text("hpke"), text("release"), text("tier"),
        document.get("simulated") is not False,
    )  # fmt: skip
