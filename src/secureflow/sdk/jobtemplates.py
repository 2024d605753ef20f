"""Templates of jobs, and the requests that they make of datasets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from secureflow.domain.jobtemplates import Filled, JobTemplate
from secureflow.sdk import answers, verbs
from secureflow.sdk.calls import Call, D_co, Resource, operation


class JobTemplates(Resource[D_co]):
    """What most people begin with."""

    @operation
    def list(self) -> Call[tuple[JobTemplate, ...]]:
        """Return every template."""
        return verbs.read("/job-templates", answers.several(JobTemplate))

    @operation
    def get(self, template: str) -> Call[JobTemplate]:
        """Return a template by its key."""
        return verbs.get(f"/job-templates/{template}", JobTemplate)

    @operation
    def fill(
        self,
        template: str,
        project: str,
        datasets: Sequence[str],
        *,
        name: str = "",
        label: str = "",
        positive: str = "",
        keys: Mapping[str, str] | None = None,
    ) -> Call[Filled]:
        """Return the request that a template makes of datasets; `client.jobs.submit` takes it.

        Args:
            template: its key.
            project: id of the project.
            datasets: ids, one of each organisation.
            name: of the job.
            label: the column to predict; by default a category of two that all declare.
            positive: which of its values is class 1.
            keys: organisation → the column by which rows are matched.
        """
        body = {
            **{"project": project, "datasets": [*datasets], "name": name, "label": label},
            **{"positive": positive, "keys": dict(keys or {})},
        }
        return verbs.post(f"/job-templates/{template}/fill", body, answers.value(Filled))
