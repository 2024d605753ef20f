"""Use cases around templates of jobs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from secureflow.application.access import (
    Principal,
    missing,
    require,
    sees_work_in,
    visible_project,
)
from secureflow.application.jobs.rosters import granted_datasets
from secureflow.application.ports.storage import UnitOfWorkFactory
from secureflow.domain.jobtemplates import TEMPLATES, Filled, JobTemplate, Wishes, fill, template_of


class JobTemplates:
    """Lists and fills templates.

    Args:
        begin: starts units of work.
    """

    def __init__(self, begin: UnitOfWorkFactory) -> None:
        self._begin = begin

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

        Raises:
            SecureFlowError: `forbidden`, `not_found`, and those of `domain.jobtemplates.fill`.
        """
        require(principal, "job.read")
        async with self._begin() as work:
            found = await visible_project(work, principal, project)
            if not sees_work_in(principal, found):  # an invitation shows no columns yet
                raise missing("project", project)
            chosen = await granted_datasets(work, project, datasets)
        wishes = Wishes(project, found.purpose, chosen, name, label, positive, keys or {})
        return fill(key, wishes)
