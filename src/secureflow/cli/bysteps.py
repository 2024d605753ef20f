"""What a step of a pipeline takes of another: told by the step, as its job does not exist yet."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from secureflow.cli.escaping import plain
from secureflow.cli.texts import t
from secureflow.domain.specs.notyet import NOT_YET
from secureflow.domain.specs.pipeline import PipelineStep
from secureflow.domain.specs.scored import ScoredModel


class StepName(str):
    """The id of a step, where the id of a job would stand."""

    __slots__ = ()


def told_by_steps(step: PipelineStep) -> Any:
    """Return a step's spec for people: it names the step that gives each thing that it takes."""
    spec: Any = step.job
    for edge, at in step.places():
        giver = StepName(edge.step)
        if edge.input == "models" and at < len(spec.models):
            models = list(spec.models)
            models[at] = _by(models[at], giver)
            spec = replace(spec, models=tuple(models))
        elif edge.input == "model":
            spec = replace(spec, model=_by(spec.model, giver))
        elif edge.input == "start" and spec.resume is not None:
            spec = replace(spec, resume=_by(spec.resume, giver))
        elif edge.input == "recipe" and spec.features is not None:
            recipe = spec.features.recipe and _by(spec.features.recipe, giver)
            spec = replace(spec, features=replace(spec.features, recipe=recipe))
    return spec


def _by(value: Any, giver: StepName) -> Any:
    """Return something that does not exist yet as that of a step; another as it is."""
    return replace(value, job=giver) if value.job == NOT_YET else value


def _released(model: ScoredModel) -> str:
    """Return the job that released a model, and the name that it had, as the centre says."""
    return plain(f"{model.job} ({model.name})" if model.name else model.job)


def model_in_words(model: ScoredModel) -> str:
    """Return a model's family, and which it is: made by a step, or released by a job."""
    if isinstance(model.job, StepName):
        return t("{family} made by step {step}", family=t(model.model.family), step=model.job)
    return t(
        "{family} {digest}, which the centre says {job} released",
        family=t(model.model.family), digest=model.digest, job=_released(model),
    )  # fmt: skip


def prediction_in_words(model: ScoredModel) -> str:
    """Return that every row is predicted, and by which model."""
    if isinstance(model.job, StepName):
        return t("prediction of every row by {model}", model=model_in_words(model))
    return t(
        "prediction of every row by {family} {digest}, which the centre says {job} released",
        family=t(model.model.family), digest=model.digest, job=_released(model),
    )  # fmt: skip


def start_in_words(resume: Any) -> str:
    """Return which model a training goes on from."""
    if isinstance(resume.job, StepName):
        return t("goes on from the model made by step {step}", step=resume.job)
    return t(
        "goes on from the model {digest}, which the centre says round {round} of {job} released",
        digest=resume.model, round=resume.round, job=plain(resume.job),
    )  # fmt: skip


def recipe_in_words(count: int, job: str) -> str:
    """Return how many columns come of which recipe."""
    if isinstance(job, StepName):
        return t(
            "sees {count} {count:column|columns} that the recipe made by step {step} gives",
            count=count, step=job,
        )  # fmt: skip
    return t(
        "sees {count} {count:column|columns} that a recipe of {job} makes",
        count=count, job=plain(job),
    )  # fmt: skip
