"""What happened in a project, and what its parties received: read from the ledger.

Both are read newest first, a bounded number of leaves for each page: `next` says where to go on. A
page can be short, or empty, and still have a next one.

What a party received is what the centre knows of: rounds whose released model or figures it was
sent, results that the ledger says were handed over to it or computed by its agent. What it cannot
know is said with it (`domain.projectrecord.UNKNOWN`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from secureflow.application.access import Principal, missing, require, sees_work_in, visible_project
from secureflow.application.ports.ledger import Ledger, LogEntry
from secureflow.application.ports.storage import UnitOfWork, UnitOfWorkFactory
from secureflow.domain.jobs import Job
from secureflow.domain.projectrecord import Activity, ActivityPage, Received, ReceivedPage
from secureflow.domain.projects import Project
from secureflow.engines.ledger.notes import noted_size

WINDOW: Final = 500
"""Leaves per read."""
WINDOWS: Final = 10
"""Reads for a page at most."""
PAGE_OF_JOBS: Final = 20
_OF_JOBS: Final = frozenset({"approval", "job.finished", "job.resumed", "results.delivered"})
"""Kinds of leaves of jobs that are an activity; the others are steps of computations."""
_RECEIVED: Final = frozenset({"round.closed", "results.delivered", "results.kept"})


class ProjectRecord:
    """Use cases that read the record of a project.

    Args:
        begin: starts units of work.
        ledger: the log.
    """

    def __init__(self, begin: UnitOfWorkFactory, ledger: Ledger) -> None:
        self._begin = begin
        self._ledger = ledger

    async def activity(
        self,
        principal: Principal,
        key: str,
        *,
        kind: str = "",
        organisation: str = "",
        user: str = "",
        before: int = 0,
        limit: int = 50,
    ) -> ActivityPage:
        """Return who did what in a project, newest first.

        Args:
            principal: who asks.
            key: the project.
            kind: only kinds that begin so, e.g. `job` or `member.left`.
            organisation, user: only their deeds.
            before: only leaves with smaller numbers; 0: all.
            limit: of the page.

        Raises:
            SecureFlowError: `not_found`.
        """
        async with self._begin() as work:
            project = await self._seen(work, principal, key)
        wanted = {"organisation": organisation, "by": user}
        end = noted_size(await self._ledger.head())
        top = min(before, end) if before else end
        found: list[Activity] = []
        for _ in range(WINDOWS):
            if top <= 0 or len(found) >= limit:
                break
            start = max(0, top - WINDOW)
            entries = await self._ledger.entries(start=start, limit=top - start)
            async with self._begin() as work:
                deeds = [await _deed(work, project, one) for one in reversed(entries)]
            top = start
            for deed in deeds:
                if deed is None or not deed.kind.startswith(kind):
                    continue
                if any(value and getattr(deed, name) != value for name, value in wanted.items()):
                    continue
                if len(found) == limit:  # the next page begins behind the last one shown
                    return ActivityPage(tuple(found), found[-1].index)
                found.append(deed)
        return ActivityPage(tuple(found), top)

    async def received(
        self, principal: Principal, key: str, *, party: str = "", cursor: str = ""
    ) -> ReceivedPage:
        """Return what each party received in the project's jobs, or one party.

        Raises:
            SecureFlowError: `not_found`.
        """
        async with self._begin() as work:
            await self._seen(work, principal, key)
            jobs = await work.jobs.list(cursor=cursor, limit=PAGE_OF_JOBS, project=key)
        told: list[Received] = []
        for job in jobs.items:
            entries = await self._leaves(job.id)
            async with self._begin() as work:
                models = await work.models.list(job=job.id)
            parties = [line["party"] for line in job.spec.get("roster", ())]
            released = tuple(model.id for model in models.items)
            told += [
                _received(job, one, released, entries) for one in parties if party in ("", one)
            ]
        return ReceivedPage(tuple(told), jobs.next)

    async def _leaves(self, job: str) -> list[LogEntry]:
        """Return a job's leaves that say that something was received."""
        kept: list[LogEntry] = []
        start = 0
        while entries := await self._ledger.entries(job=job, start=start, limit=WINDOW):
            kept += [one for one in entries if one.kind in _RECEIVED]
            start = entries[-1].index + 1
        return kept

    async def _seen(self, work: UnitOfWork, principal: Principal, key: str) -> Project:
        require(principal, "project.read")
        project = await visible_project(work, principal, key)
        if not sees_work_in(principal, project):
            raise missing("project", key)
        return project


async def _deed(work: UnitOfWork, project: Project, entry: LogEntry) -> Activity | None:
    """Return what a leaf says was done in the project; None for other leaves."""
    document: Mapping[str, Any] = entry.document if isinstance(entry.document, dict) else {}
    about = document.get("project") == project.id
    if not about and entry.job and entry.kind in _OF_JOBS:
        job = await work.jobs.find(entry.job)
        about = job is not None and job.project == project.id
    if not about:
        return None
    by = str(document.get("by", ""))
    user = await work.users.find(by) if by.startswith("usr_") else None
    organisation = str(document.get("organisation", ""))
    if not organisation and entry.author not in {"server", "enclave"}:
        organisation = entry.author
    facts = {name: one for name, one in document.items() if name not in _TOLD}
    frozen = project.frozen
    if frozen and frozen.salt and facts.get("reason_commitment") == frozen.commitment:
        facts["reason"] = frozen.reason
    name = user.name if user is not None else ""
    told = entry.index, entry.at, entry.kind, organisation, by, name, entry.job
    return Activity(*told, facts)


_TOLD: Final = frozenset({"project", "by", "organisation"})


def _received(
    job: Job, party: str, models: tuple[str, ...], entries: Sequence[LogEntry]
) -> Received:
    rounds, handed, results = Counter[str](), set[str](), set[str]()
    for entry in entries:
        document: Mapping[str, Any] = entry.document if isinstance(entry.document, dict) else {}
        match entry.kind:
            case "round.closed":
                rounds[str(document.get("stage", ""))] += 1
            case "results.delivered" if document.get("to") == party:
                handed |= set(document.get("parties", ())) - {party}
            case "results.kept" if party in document.get("parties", ()):
                results.add(str(document.get("stage", "")))
    most = max(rounds.values(), default=0)  # what precedes and follows them is no round of theirs
    return Received(
        *(party, job.id, job.name, job.kind, job.state.value, most, models),
        *(tuple(sorted(handed)), tuple(sorted(results))),
    )
