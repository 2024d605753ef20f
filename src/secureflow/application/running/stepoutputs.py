"""What a pipeline's step gave, once its job has succeeded: a model's digest, sums, a recipe,
the digests of rows that matched."""

from __future__ import annotations

from typing import Any, Final

from secureflow.application.ports.artifacts import Artifacts
from secureflow.application.ports.storage import UnitOfWork
from secureflow.domain.jobs import Job
from secureflow.kit.canonical import JSON, parse_json

MOST_BYTES: Final = 8 << 20
"""Most bytes of a recipe that goes into the spec of a later step, which every party signs."""


class StepOutputs:
    """Reads what other steps take (`domain.specs.outputs.Outputs.read`).

    Args:
        artifacts: where recipes are; without them there are none.
    """

    def __init__(self, artifacts: Artifacts | None = None) -> None:
        self._artifacts = artifacts

    async def of(self, unit: UnitOfWork, part: Job) -> dict[str, JSON]:
        """Return the outputs of a part that has succeeded; a step that gives nothing has {}.

        Raises:
            SecureFlowError: `not_found` for a recipe that is not stored any more.
        """
        report: dict[str, Any] = part.report or {}
        found: dict[str, JSON] = {}
        model = report.get("model") or {}
        if model.get("digest") and model.get("digest") == model.get("artifact"):
            found |= {"model": model["digest"]}
            found["round"] = int(report.get("kept_round") or report.get("rounds") or 0)
            published = await unit.models.find(str(model.get("id")))
            moments = None if published is None else published.card.get("moments")
            if isinstance(moments, list):
                found["moments"] = moments
        recipe = report.get("recipe") or {}
        fits = int(recipe.get("size") or 0) <= MOST_BYTES
        if recipe.get("digest") and fits and self._artifacts is not None:
            stream = await self._artifacts.open(str(recipe["digest"]))
            document = b"".join([chunk async for chunk in stream])
            found["recipe"] = parse_json(document, MOST_BYTES)
        selected = (report.get("intersection") or {}).get("selected")
        if selected:
            found["rows"] = selected
        return found
