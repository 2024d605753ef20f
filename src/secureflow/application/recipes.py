"""Recipes: what preparation jobs fitted, as documents that later jobs name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from secureflow.application.ports.artifacts import Artifacts
from secureflow.kit.canonical import parse_json
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text


class Recipes:
    """Use cases around recipes.

    Args:
        artifacts: where they are stored.
    """

    def __init__(self, artifacts: Artifacts) -> None:
        self._artifacts = artifacts

    async def of_report(self, job: str, report: Mapping[str, Any]) -> dict[str, Any]:
        """Return the recipe that a finished job's report names.

        Raises:
            SecureFlowError: `no_recipe` for a job of another kind.
        """
        named = report.get("recipe")
        if not isinstance(named, dict):
            raise SecureFlowError(
                "no_recipe",
                Text("Job {job} fitted no preparation.", job=job),
                "Name a job of kind preparation: secureflow job list --kind preparation.",
            )
        chunks = [chunk async for chunk in await self._artifacts.open(str(named["digest"]))]
        document: dict[str, Any] = parse_json(b"".join(chunks), int(named["size"]))
        return document
