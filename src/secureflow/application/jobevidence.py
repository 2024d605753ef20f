"""Records of jobs for settlements: what the centre reads of them, and hands to members' agents."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from secureflow.application.access import Principal, missing
from secureflow.application.audit import Audit
from secureflow.application.ports.storage import UnitOfWork
from secureflow.domain.jobs import JobState
from secureflow.domain.users import Role
from secureflow.engines.ledger.bundle import verify_bundle
from secureflow.engines.revenue.evidence import JobEvidence, evidence_of
from secureflow.kit.canonical import canonical_bytes, digest
from secureflow.kit.errors import SecureFlowError

PART: Final = 256 * 1024
"""Characters of a record in one message to an agent: a message has at most 1 MiB."""
_OPERATOR: Final = Principal("", "server", "", frozenset({Role.PLATFORM_ADMIN}), "")


class JobRecords:
    """Reads the records of jobs.

    Args:
        audit: the ledger.
    """

    def __init__(self, audit: Audit) -> None:
        self._audit = audit

    async def evidence(self, jobs: Sequence[str], project: str) -> list[JobEvidence]:
        """Return what the records of a project's jobs say; the centre's preview.

        Raises:
            SecureFlowError: `not_found`, also for a job of another project: whoever asks here need
                not know that it exists; `evidence_not_verified`.
        """
        return [await self._one(job, project) for job in jobs]

    async def part(self, principal: Principal, job: str, offset: int) -> dict[str, Any]:
        """Return a part of a job's record as canonical JSON, for the agent of a member.

        The digest of the whole tells an agent whether parts belong together: a record can change
        in between, by a cosignature.

        Raises:
            SecureFlowError: `not_found`.
        """
        bundle = await self._audit.bundle(principal, job)
        text = (await asyncio.to_thread(canonical_bytes, bundle)).decode()
        return {"digest": digest(text), "total": len(text), "part": text[offset : offset + PART]}

    async def _one(self, job: str, project: str) -> JobEvidence:
        bundle = await self._audit.bundle(_OPERATOR, job)
        if bundle["spec"].get("project") != project:
            raise missing("job", job)
        return await asyncio.to_thread(_read, bundle)


async def finished_jobs(work: UnitOfWork, project: str) -> list[str]:
    """Return the jobs of a project that succeeded, oldest first; no part of another job."""
    found: list[str] = []
    cursor = ""
    while True:
        page = await work.jobs.list(cursor=cursor, project=project, state=JobState.SUCCEEDED.value)
        found += [one.id for one in page.items if not one.spec.get("part_of")]
        if not (cursor := page.next):
            return found


def _read(bundle: dict[str, Any]) -> JobEvidence:
    return evidence_of(bundle, verify_bundle(bundle, None), authenticated=False)


def agent_principal(organisation: str) -> Principal:
    """Return the caller as whom a member's agent reads records."""
    if not organisation:
        raise SecureFlowError("forbidden", "An enclave does not act for an organisation.")
    return Principal(
        *(f"agent/{organisation}", organisation, organisation, frozenset({Role.AUDITOR}), ""),
        agent=True,
    )
