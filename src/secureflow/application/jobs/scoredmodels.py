"""Released models as specs hold them, and the spread of scores that an earlier evaluation found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from secureflow.application.access import missing
from secureflow.application.ports.storage import UnitOfWork
from secureflow.domain.models import Model
from secureflow.domain.specs.base import parse
from secureflow.domain.specs.evaluation import Baseline
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


async def scored_model(work: UnitOfWork, project: str, key: str) -> ScoredModel:
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
            Text("models: {model} is not a model that can be applied to rows.", model=key),
            "Name a model that learned from rows, and whose parameters are released.",
            {"field": "models"},
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


async def baseline_of(
    work: UnitOfWork, project: str, job: Any, models: Sequence[ScoredModel]
) -> list[Baseline]:
    """Return how an earlier evaluation's rows spread over these models' scores; [] without one.

    Raises:
        SecureFlowError: `not_found` (job), `no_evaluation` for a job that measured none of them.
    """
    if job is None:
        return []
    earlier = await work.jobs.find(str(job))
    if earlier is None or earlier.project != project:
        raise missing("job", str(job))
    measured = ((earlier.report or {}).get("evaluation") or {}).get("models") or []
    wanted = {one.digest for one in models}
    found = [
        Baseline(earlier.id, one["model"], tuple(spread["counts"]), tuple(spread.get("edges", ())))
        for one in measured
        if one.get("model") in wanted and (spread := one.get("distribution"))
    ]
    if not found:
        raise SecureFlowError(
            "no_evaluation",
            Text("Job {job} evaluated none of these models.", job=earlier.id),
            "Name a finished evaluation of the same model: secureflow job list --kind evaluation.",
        )
    return found
