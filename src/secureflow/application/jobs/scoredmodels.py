"""Released models as specs of other jobs hold them, and which rows they have never learned from.

A model learns from the rows of its own job, of those that it went on from, and of the preparation
whose recipe has learned from labels (weights of evidence). What it never saw is what *all* of them
held out; of weights that were uploaded nobody can tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from secureflow.application.access import missing
from secureflow.application.ports.storage import UnitOfWork
from secureflow.domain.models import Model
from secureflow.domain.specs.base import parse
from secureflow.domain.specs.heldout import HeldOut, is_within
from secureflow.domain.specs.preparation import PreparationSpec
from secureflow.domain.specs.scored import ScoredModel
from secureflow.domain.specs.strategies import kept_vectors
from secureflow.domain.specs.training import TrainingSpec
from secureflow.domain.specs.tree_families import XgboostModel
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

_MOST_NAMED: Final = 64
_MOST_JOBS: Final = 64
"""Most jobs that are looked at; a model of more has learned from all rows, as far as is known."""


async def scored_models(work: UnitOfWork, project: str, named: Any) -> list[ScoredModel]:
    """Return the models of a project that a request names by their ids; provisional ones as given.

    Raises:
        SecureFlowError: `not_found`; `contradictory_spec` for one that cannot be applied to rows.
    """
    keys = named if isinstance(named, Sequence) and not isinstance(named, str) else ()
    return [await scored_model(work, project, one) for one in keys[:_MOST_NAMED]]


async def scored_model(
    work: UnitOfWork, project: str, named: Any, field: str = "models"
) -> ScoredModel:
    """Return a model of a project by its id; a provisional one, which no request holds, as given.

    Raises:
        SecureFlowError: `not_found`; `contradictory_spec` for one that cannot be applied to rows.
    """
    if isinstance(named, ScoredModel):
        return named
    key = str(named)
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
    contributors, held_out = await _learned_from(work, found)
    return ScoredModel(
        job=model.job,
        digest=model.digest,
        features=found.features,
        model=found.model,
        moments=_moments(model, found),
        adapts_clipping=found.adapts_clipping,
        kept_vectors=kept_vectors(found.plan.strategy),
        contributors=contributors,
        held_out=held_out,
        name=f"{model.name}@{model.version}",
        seed=None if found.bundle is None else found.plan.seed,
        trees=_trees(found),
    )


def _trees(found: TrainingSpec) -> int:
    """Return the places for trees that a model has."""
    if not isinstance(found.model, XgboostModel):
        return 0
    return found.model.grown(found.plan.rounds, len(found.roster))[1]


async def label_notes(work: UnitOfWork, trainings: Sequence[TrainingSpec]) -> list[str]:
    """Return a note if a recipe has learned from the labels of rows that trainings validate on.

    Args:
        work: a unit of work.
        trainings: of one recipe, such as the points of a sweep: folds of it hold out other rows.
    """
    measured = [one for one in trainings if _validates(one)]
    recipe = measured[0].features.recipe if measured and measured[0].features else None
    if recipe is None or recipe.label is None:
        return []
    fitted = await _fitted_by(work, recipe.job)
    held_out = fitted.held_out if fitted else None
    taken = [HeldOut.of_split(one.plan.split, one.plan.validation) for one in measured]
    parties = measured[0].parties
    seen = [one for one in parties if one in fitted.parties] if fitted else list(parties)
    if not seen or all(is_within(one, held_out) for one in taken):
        return []
    return [
        Text(
            "The recipe learned from labels (woe) of rows of {parties}, perhaps of those that "
            "validate: validation figures are then better than on rows that it has never seen. "
            "Hold rows out by key, in the preparation (held_out) and here (plan.split).",
            parties=", ".join(seen),
        )
    ]


def _validates(spec: TrainingSpec) -> bool:
    """Tell whether figures of rows that are held out are released."""
    private = spec.privacy
    return spec.plan.validation > 0 and (private is None or private.metrics_noise is not None)


async def _learned_from(
    work: UnitOfWork, spec: TrainingSpec
) -> tuple[tuple[str, ...], HeldOut | None]:
    """Return whose rows a model learned from, and which of them it did not."""
    parties: dict[str, None] = {}
    held_out = HeldOut.of_split(spec.plan.split, spec.plan.validation)
    current = spec
    for _ in range(_MOST_JOBS):
        parties |= dict.fromkeys(current.parties)
        held_out = _both(held_out, HeldOut.of_split(current.plan.split, current.plan.validation))
        recipe = current.features.recipe if current.features else None
        if recipe is not None and recipe.label is not None:
            fitted = await _fitted_by(work, recipe.job)
            parties |= dict.fromkeys(fitted.parties if fitted else ())
            held_out = _both(held_out, fitted.held_out if fitted else None)
        if current.initial is not None:
            held_out = None
        if current.resume is None:
            break
        earlier = await work.jobs.find(current.resume.job)
        if earlier is None or earlier.project != spec.project or earlier.kind != spec.kind:
            held_out = None
            break
        current = parse(TrainingSpec, earlier.spec, stored=True)
    else:
        held_out = None
    return tuple(parties), held_out


async def _fitted_by(work: UnitOfWork, job: str) -> PreparationSpec | None:
    """Return the spec of the preparation that a recipe is of."""
    found = await work.jobs.find(job)
    if found is None or found.kind != "preparation":
        return None
    return parse(PreparationSpec, found.spec, stored=True)


def _both(one: HeldOut | None, other: HeldOut | None) -> HeldOut | None:
    """Return what two jobs both held out, if it is what either did; None otherwise."""
    if is_within(one, other):
        return one
    return other if is_within(other, one) else None


def _moments(model: Model, spec: TrainingSpec) -> tuple[float, ...] | None:
    told = model.card.get("moments")
    if not spec.needs_moments or not isinstance(told, list):
        return None
    return tuple(float(one) for one in told)
