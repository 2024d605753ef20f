"""Dataset descriptions and the grants that let a project use them."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from typing import Any

from secureflow.domain.datasets import Grant
from secureflow.sdk import answers, verbs
from secureflow.sdk.calls import Call, D_co, Page, Resource, listing, operation
from secureflow.sdk.objects import Dataset

_DAY = 86_400


class Datasets(Resource[D_co]):
    """Descriptions of data that stays at its owner's agent."""

    @operation
    def get(self, dataset: str) -> Call[Dataset]:
        """Return a description by id."""
        return verbs.get(f"/datasets/{dataset}", Dataset)

    @operation
    def remove(self, dataset: str) -> Call[None]:
        """Withdraw a description; later jobs cannot name it."""
        return verbs.delete(f"/datasets/{dataset}")

    @operation
    def grant(
        self,
        dataset: str,
        project: str,
        columns: Sequence[str] = (),
        purposes: Sequence[str] = (),
        days: int = 90,
    ) -> Generator[Any, Any, Grant]:
        """Let a project use columns (default: all) for purposes (default: any) for some days."""
        if not columns:
            described: Dataset = yield from verbs.get(f"/datasets/{dataset}", Dataset)
            columns = [column.name for column in described.columns]
        body = {
            "project": project,
            "columns": [*columns],
            "purposes": [*purposes],
            "expires": int(time.time()) + days * _DAY,
        }
        granted = yield from verbs.post(f"/datasets/{dataset}/grants", body, answers.value(Grant))
        return granted

    @listing
    def list(self, project: str = "") -> Call[Page[Dataset]]:
        """Iterate over the descriptions that the caller sees, optionally of one project."""
        return verbs.pages("/datasets", Dataset, project=project)


class Grants(Resource[D_co]):
    """Permissions that data owners gave."""

    @operation
    def revoke(self, grant: str) -> Call[None]:
        """Withdraw a grant; the agent refuses the next request of running jobs."""
        return verbs.delete(f"/grants/{grant}")

    @listing
    def list(self, project: str = "") -> Call[Page[Grant]]:
        """Iterate over the grants that the caller sees, optionally of one project."""
        return verbs.pages("/grants", Grant, project=project)
