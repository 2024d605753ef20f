"""Recipes: what preparation jobs fitted, as documents that later jobs name."""

from __future__ import annotations

from typing import Any

from secureflow.application.access import Principal
from secureflow.application.jobs.jobs import Jobs
from secureflow.application.ports.artifacts import Artifacts
from secureflow.kit.canonical import parse_json
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text


class Recipes:
    """Use cases around recipes.

    Args:
        jobs: which of them the caller sees.
        artifacts: where recipes are stored.
    """

    def __init__(self, jobs: Jobs, artifacts: Artifacts) -> None:
        self._jobs = jobs
        self._artifacts = artifacts

    async def of_job(self, principal: Principal, key: str) -> dict[str, Any]:
        """Return the recipe of a finished preparation.

        Raises:
            SecureFlowError: those of `Jobs.report`; `no_recipe` for a job of another kind.
        """
        named = (await self._jobs.report(principal, key)).get("recipe")
        if not isinstance(named, dict):
            raise SecureFlowError(
                "no_recipe",
                Text("Job {key} fitted no preparation.", key=key),
                "Name a job of kind preparation: secureflow job list --kind preparation.",
            )
        chunks = [chunk async for chunk in await self._artifacts.open(str(named["digest"]))]
        document: dict[str, Any] = parse_json(b"".join(chunks), int(named["size"]))
        return document
