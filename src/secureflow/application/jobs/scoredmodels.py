"""Released models as specs of other jobs hold them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from secureflow.application.access import missing
from secureflow.application.ports.storage import UnitOfWork
from secureflow.domain.models import Model
from secureflow.domain.specs.base import parse
from secureflow.domain.specs.heldout import HeldOut
from secureflow.domain.specs.scored import ScoredModel
from secureflow.domain.specs.training import TrainingSpec
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

_MOST_NAMED: Final = 64


async def scored_models(work: UnitOfWork, project: str, named: Any) -> list[ScoredModel]:
    """Return the models of a project that a request names by their ids.

    Raises:
        SecureFlowError: `not_found`; `contradictory_spec` for one that cannot be applied to rows.
    """
    keys = named if isinstance(named, Sequence) and not isinstance(named, str) else ()
    return [await scored_model(work, project, str(one)) for one in keys[:_MOST_NAMED]]


async def scored_model(
    work: UnitOfWork, project: str, key: str, field: str = "models"
) -> ScoredModel:
    """Return a model of a project by its id.

    Raises:
        SecureFlowError: `not_found`; `contradictory_spec` for one that cannot be applied to rows.
    """
    model = await work.models.find(key)
    if model is None or model.project != project:
        raise missing("model", key)
    job = await work.jobs.get(model.job)
    found = parse(TrainingSpec, job.spec, stored=True)
    if found.features is None or model.artifact != model.digest:
        raise SecureFlowError(
            "contradictory_spec",
            Text(
                "{field}: {model} is not a model that can be applied to rows.",
                field=field,
                model=key,
            ),
            "Name a model that learned from rows, and whose parameters are released.",
            {"field": field},
        )
    return ScoredModel(
        job=model.job,
        digest=model.digest,
        features=found.features,
        model=found.model,
        moments=_moments(model, found),
        adapts_clipping=found.parameters > found.model_parameters,
        contributors=found.parties,
        held_out=HeldOut.of_plan(found.plan),
    )


def _moments(model: Model, spec: TrainingSpec) -> tuple[float, ...] | None:
    told = model.card.get("moments")
    if not spec.needs_moments or not isinstance(told, list):
        return None
    return tuple(float(one) for one in told)
