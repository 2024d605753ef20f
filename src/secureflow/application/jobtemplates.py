"""Use cases around templates of jobs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from secureflow.application.access import (
    Principal,
    missing,
    require,
    sees_work_in,
    visible_project,
)
from secureflow.application.jobs.rosters import granted_datasets
from secureflow.application.listing import list_readable
from secureflow.application.ports.storage import UnitOfWork, UnitOfWorkFactory
from secureflow.domain.datasets import Dataset, granted_columns
from secureflow.domain.jobtemplates import TEMPLATES, Filled, JobTemplate, Wishes, fill, template_of
from secureflow.kit.clock import Clock


class JobTemplates:
    """Lists and fills templates.

    Args:
        begin: starts units of work.
        clock: unix seconds.
    """

    def __init__(self, begin: UnitOfWorkFactory, clock: Clock) -> None:
        self._begin = begin
        self._clock = clock

    def list(self, principal: Principal) -> Sequence[JobTemplate]:
        """Return every template; raises `forbidden`."""
        require(principal, "job.read")
        return list(TEMPLATES.values())

    def get(self, principal: Principal, key: str) -> JobTemplate:
        """Return a template; raises `forbidden`, `not_found`."""
        require(principal, "job.read")
        return template_of(key)

    async def fill(
        self,
        principal: Principal,
        key: str,
        project: str,
        datasets: Sequence[str],
        *,
        name: str = "",
        label: str = "",
        positive: str = "",
        keys: Mapping[str, str] | None = None,
    ) -> Filled:
        """Return a request made of a template and of datasets that are granted to a project.

        It asks for no column that an owner has not granted for the project's purpose, so that what
        is filled in can be submitted as it is.

        Raises:
            SecureFlowError: `forbidden`, `not_found`, and those of `domain.jobtemplates.fill`.
        """
        require(principal, "job.read")
        async with self._begin() as work:
            found = await visible_project(work, principal, project)
            if not sees_work_in(principal, found):  # an invitation shows no columns yet
                raise missing("project", project)
            chosen = await granted_datasets(work, project, datasets)
            for party, dataset in chosen.items():
                chosen[party] = await self._granted(work, project, found.purpose, dataset)
        wishes = Wishes(project, found.purpose, chosen, name, label, positive, keys or {})
        return fill(key, wishes)

    async def _granted(
        self, work: UnitOfWork, project: str, purpose: str, dataset: Dataset
    ) -> Dataset:
        """Return a dataset with the columns that are granted; all, where no grant is in force."""
        every = await list_readable(work.grants, project=project, dataset=dataset.id)
        covered = granted_columns(every, purpose, self._clock()) or ()
        columns = tuple(one for one in dataset.columns if one.name in covered)
        return replace(dataset, columns=columns) if columns else dataset
