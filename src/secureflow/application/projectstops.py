"""Stops what runs in projects that are frozen, archived or over, and what members left behind.

The change of the project is durable first; then each of its unfinished jobs is cancelled, with the
reason. Whatever prevents that in between (a crash, a busy database, a job that was submitted at the
same moment) is made up for: every server compares the projects of all unfinished jobs with their
states when it starts and every few seconds. That finds the same jobs again, and cancels none twice.
What would make it forget (a thaw, a later end, an invitation of who left) comes after (`finish`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, Protocol

from secureflow.application.listing import list_readable
from secureflow.application.ports.storage import UnitOfWork, UnitOfWorkFactory
from secureflow.domain.jobs import Job, JobState
from secureflow.domain.projects import Project, ProjectState
from secureflow.kit.clock import Clock
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.logging import get_logger

_UNFINISHED: Final = [
    state.value for state in JobState if not state.final and state is not JobState.DRAFT
]
_log = get_logger(__name__)


class Canceller(Protocol):
    """The part of the driver of jobs that is needed here."""

    async def cancel(self, job: str, by: str, because: Mapping[str, str] | None = None) -> None:
        """Cancel a job durably, with the reason."""


class ProjectStops:
    """Cancels the jobs that their projects no longer let run.

    Args:
        begin: starts units of work.
        driver: cancels jobs.
        clock: unix seconds.
    """

    def __init__(self, begin: UnitOfWorkFactory, driver: Canceller, clock: Clock) -> None:
        self._begin = begin
        self._driver = driver
        self._clock = clock

    async def sweep(self) -> int:
        """Carry out every stop that is due; return how many jobs were cancelled."""
        async with self._begin() as work:
            running = await work.jobs.distinct("project", state=_UNFINISHED)
        return sum([await self._stop(project) for project in running])

    async def poll(self) -> None:
        """Carry out every stop that is due."""
        await self.sweep()

    async def carry_out(self, project: str, by: str) -> None:
        """Carry out a stop that was just decided by a person (their name).

        The decision stands whatever happens here: the next sweep does what this could not.
        """
        try:
            await self._stop(project, by)
        except SecureFlowError as error:
            _log.warning("project_stop_later", project=project, code=error.code)

    async def finish(self, project: str) -> None:
        """Carry out a stop that is due still, before a change of the project undoes its reason.

        Else a crash between decision and stop, and the opposite decision before the next sweep,
        would let jobs go on that had to end.

        Raises:
            SecureFlowError: what prevents it; the project must stay as it is.
        """
        await self._stop(project, strict=True)

    async def _stop(self, key: str, by: str = "", *, strict: bool = False) -> int:
        async with self._begin() as work:
            project = await work.projects.find(key)
            if project is None or not _stops(project, self._clock()):
                return 0
            jobs = await list_readable(work.jobs, project=key, state=_UNFINISHED)
        stopped = 0
        for job, because in _due(project, jobs, self._clock()):
            try:
                await self._driver.cancel(job.id, by, because)
            except SecureFlowError as error:  # the others are stopped all the same
                if strict:
                    raise
                _log.warning("job_stop_later", job=job.id, project=key, code=error.code)
            else:
                stopped += 1
                _log.info("job_stopped", job=job.id, project=key, why=because["why"])
        return stopped


async def lock_project(work: UnitOfWork, key: str) -> None:
    """Serialise submissions to a project with changes of its state, until they commit."""
    await work.lock(f"project/{key}")


def _stops(project: Project, now: int) -> bool:
    return project.state_at(now) is not ProjectState.ACTIVE or bool(project.left)


def _due(project: Project, jobs: list[Job], now: int) -> Iterator[tuple[Job, dict[str, str]]]:
    """Yield the jobs to be cancelled, each with why; not those that are cancelled already."""
    state = project.state_at(now)
    for job in jobs:
        if "cancel" in job.progress:
            continue
        if state is not ProjectState.ACTIVE:
            frozen = project.frozen if state is ProjectState.FROZEN else None
            organisation = frozen.organisation if frozen else project.organisation
            yield job, _reason(state.value, project, organisation)
        elif gone := (_organisations(job) & project.left):
            yield job, _reason("left", project, min(gone))


def _organisations(job: Job) -> frozenset[str]:
    """Return who submitted a job and who contributes to it."""
    return frozenset({job.organisation, *(line["party"] for line in job.spec.get("roster", ()))})


def _reason(why: str, project: Project, organisation: str) -> dict[str, str]:
    return {"why": why, "project": project.id, "organisation": organisation}
