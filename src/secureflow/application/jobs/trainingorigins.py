"""What a training job takes from other jobs of its project: a model to go on from, a recipe."""

from __future__ import annotations

from secureflow.application.access import missing
from secureflow.application.ports.storage import UnitOfWork
from secureflow.domain.jobs import Job
from secureflow.domain.specs.base import parse
from secureflow.domain.specs.notyet import NOT_YET
from secureflow.domain.specs.strategies import kept_vectors, name_of
from secureflow.domain.specs.tensors import Tensors, layout_digest
from secureflow.domain.specs.training import TrainingSpec
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text


async def check_origins(work: UnitOfWork, spec: TrainingSpec, *, ahead: bool = False) -> None:
    """Refuse what the job that a spec names cannot have given it.

    With `ahead` the job may not exist yet: what it is to give is provisional, and the pipeline
    whose step it is checks that.

    Raises:
        SecureFlowError: `not_found` (job), `contradictory_spec` naming the field.
    """
    if spec.resume is not None and not (ahead and spec.resume.job == NOT_YET):
        _check_tensors(spec, await _earlier(work, spec, spec.resume.job))
    recipe = spec.features.recipe if spec.features else None
    if recipe is None or (ahead and recipe.job == NOT_YET):
        return
    from secureflow.engines.preparation.recipe import recipe_digest

    earlier = await _earlier(work, spec, recipe.job)
    named = (earlier.report or {}).get("recipe") or {}
    if named.get("digest") != recipe_digest(recipe):
        raise SecureFlowError(
            "contradictory_spec",
            Text("features.recipe: it is not what {job} fitted.", job=recipe.job),
            "Fetch it again: secureflow prep show JOB --save FILE; in a job file its name will do.",
            {"field": "features.recipe"},
        )


async def _earlier(work: UnitOfWork, spec: TrainingSpec, job: str) -> Job:
    earlier = await work.jobs.find(job)
    if earlier is None or earlier.project != spec.project:
        raise missing("job", job)
    return earlier


def _check_tensors(spec: TrainingSpec, earlier: Job) -> None:
    """Refuse to go on from a model of other tensors: its numbers would be read as others."""
    if earlier.kind != spec.kind:
        raise missing("model", earlier.id)
    found = parse(TrainingSpec, earlier.spec, stored=True)
    same = layout_digest(found.tensors) == layout_digest(spec.tensors)
    if same and found.parameters == spec.parameters and _keep_alike(found, spec):
        return
    if same and not _keep_alike(found, spec):
        raise SecureFlowError(
            "contradictory_spec",
            Text(
                "resume: {job} ran under {found}, which keeps other vectors than {wanted}.",
                job=earlier.id,
                found=name_of(found.plan.strategy),
                wanted=name_of(spec.plan.strategy),
            ),
            "Name the same strategy, or start from the model's weights: secureflow model download, "
            "secureflow model upload.",
            {"field": "resume"},
        )
    raise SecureFlowError(
        "contradictory_spec",
        Text(
            "resume: the model of {job} has the tensors {found}; this job's model has {wanted}.",
            job=earlier.id,
            found=_listed(found.tensors),
            wanted=_listed(spec.tensors),
        ),
        "Go on from a job with the same model and inputs, or leave `resume` out.",
        {"field": "resume"},
    )


def _keep_alike(found: TrainingSpec, spec: TrainingSpec) -> bool:
    """Tell whether what one strategy kept can be taken up by another: the same, or nothing."""
    kept = (kept_vectors(one.plan.strategy) for one in (found, spec))
    return not any(kept) or name_of(found.plan.strategy) == name_of(spec.plan.strategy)


def _listed(tensors: Tensors) -> str:
    return ", ".join(f"{one.name} {list(one.shape)} {one.dtype}" for one in tensors[:8])
