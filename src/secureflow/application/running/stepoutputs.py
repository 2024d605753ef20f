"""What a pipeline's step gave, once its job has succeeded: a model's digest, sums, a recipe,
the digests of rows that matched; and who signed that it gave this model."""

from __future__ import annotations

from typing import Any, Final

from secureflow.application.ports.artifacts import Artifacts
from secureflow.application.ports.ledger import Ledger
from secureflow.application.ports.storage import UnitOfWork
from secureflow.domain.jobs import Job
from secureflow.domain.quorum import colluders_of
from secureflow.domain.specs.conditions import signed_metrics
from secureflow.engines.ledger.ends import FINISHED
from secureflow.engines.ledger.leaves import parse_leaf
from secureflow.engines.ledger.modelends import MAX_SHOWN_ENDS, parties_naming
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
        if measured := report.get("measured"):
            found["metrics"] = list(signed_metrics([one["figures"] for one in measured]))
        return found


async def ends_naming(ledger: Ledger, part: Job, model: str) -> list[dict[str, JSON]]:
    """Return parties' signed ends that name a part's model, if some party's end names none.

    As many as convince who was away: of one party more than may be on the operator's side. None if
    every party compared the model itself, nor if too few did.
    """
    keys = {str(one["party"]): str(one["key"]) for one in part.spec["roster"]}
    ends: dict[str, dict[str, JSON]] = {}
    for entry in await ledger.search(kind=FINISHED, job=part.id, limit=MAX_SHOWN_ENDS):
        salt = "" if entry.salt is None else entry.salt.hex()
        shown = {"leaf": parse_leaf(entry.data).json(), "document": entry.document, "salt": salt}
        for party in parties_naming([shown], part.id, part.digest, keys, model):
            ends[party] = shown
    needed = colluders_of(len(keys)) + 1
    if len(ends) == len(keys) or len(ends) < needed:
        return []
    return [ends[party] for party in sorted(ends)[:needed]]
