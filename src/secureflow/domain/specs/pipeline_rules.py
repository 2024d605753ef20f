"""What contradicts itself in a pipeline: its graph, what flows over edges, and what steps share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from typing import Any, Final

from secureflow.domain.specs.base import Problem, SpecBase, refuse
from secureflow.domain.specs.conditions import DECIMALS, metrics_of
from secureflow.domain.specs.kind import Fact, SpecKind
from secureflow.domain.specs.leavingrows import part_problem
from secureflow.domain.specs.notyet import NOT_YET, provisional_digest
from secureflow.domain.specs.outputs import provisional_model
from secureflow.domain.specs.pipeline import NAME, Edge, PipelineSpec, PipelineStep
from secureflow.domain.specs.pipeline_request import PipelineRequest
from secureflow.domain.specs.pipeline_rows import rows_problems
from secureflow.domain.specs.ports import PORTS, connects
from secureflow.domain.specs.protections import contributes
from secureflow.domain.specs.provisional import provisional_recipe
from secureflow.domain.specs.recipe import number_columns
from secureflow.domain.specs.rosterrules import roster_problem
from secureflow.domain.specs.scored import ScoredModel
from secureflow.domain.specs.tables import StepProblem
from secureflow.domain.specs.tensors import layout_digest
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

LONGEST_NAME: Final = 120
"""Most characters of its name: its jobs are called after it, with the step."""
_FACTS: Final[Mapping[str, Fact]] = {"kinds": "texts", "jobs": "number", "attempts": "number"}
"""Policy attributes that only pipelines have."""
_HEAD: Final = tuple(one.name for one in fields(SpecBase) if one.name != "rows")
_FROM: Final = "Take it of the step that gives it: {step: ID}."


def pipeline_kind(*kinds: SpecKind) -> SpecKind:
    """Return the kind of pipelines of jobs of these kinds."""
    checks = {kind.name: kind.check for kind in kinds}

    def check(spec: PipelineSpec) -> None:
        check_pipeline(spec, checks)

    return SpecKind(NAME, PipelineSpec, PipelineRequest, check, _FACTS)


def check_pipeline(spec: PipelineSpec, checks: dict[str, Callable[[Any], None]]) -> None:
    """Refuse contradictions between steps, and steps that contradict themselves.

    Args:
        spec: the pipeline's.
        checks: by the name of a kind.

    Raises:
        SecureFlowError: `contradictory_spec` naming the step, the field and the reason.
    """
    refuse(roster_problem(spec, 2))
    refuse(next(_problems(spec), None))
    for step in spec.steps:
        try:
            checks[step.job.kind](step.job)
            refuse(part_problem(step.job))
        except SecureFlowError as error:
            raise SecureFlowError(
                error.code,
                Text("steps.{step}: {message}", step=step.id, message=error.message),
                error.hint,
                {**error.details, "field": Text("steps.{step}", step=step.id)},
            ) from error


def _problems(spec: PipelineSpec) -> Iterator[Problem]:
    if len(spec.name) > LONGEST_NAME:
        reason: str = Text("it has more than {count} characters", count=LONGEST_NAME)
        yield "name", reason, "Its jobs are called after it, with the step."
    if spec.part_of is not None or spec.not_after is not None:
        yield "part_of", "a pipeline is no part of another job", "Submit it alone."
    if spec.rows is not None:
        yield "rows", "steps take rows, and no pipeline does", "Say it of a step."
    known: dict[str, PipelineStep] = {}
    for step in spec.steps:
        if step.id in known:
            yield _at(step), "the id is of another step already", "Give each step its own id."
        found = (
            _head(spec, step),
            _brings(step),
            *_edges(step, known),
            *_conditions(step, known),
            _sums(spec, step),
        )
        yield from (one for one in found if one is not None)
        yield from _provisional(step, known)
        known[step.id] = step
    yield from _privacy(spec)


def _at(step: PipelineStep, name: str = "") -> str:
    field = f"{step.id}.{name}" if name else step.id
    return Text("steps.{field}", field=field)


def _head(spec: PipelineSpec, step: PipelineStep) -> Problem | None:
    if all(getattr(spec, name) == getattr(step.job, name) for name in _HEAD):
        return None
    reason = "it has another project, name, purpose, submitter, time or roster than the pipeline"
    return _at(step), reason, "All steps share these."


def _brings(step: PipelineStep) -> Problem | None:
    if step.job.bundle is not None:
        reason = "it brings code, which owners read together with what it is given"
        return _at(step), reason, "Submit jobs with code alone."
    if getattr(step.job, "initial", None) is not None:
        reason = "it starts from uploaded weights"
        return _at(step, "initial"), reason, "Train it alone, or start from another step."
    return None


def _edges(step: PipelineStep, known: dict[str, PipelineStep]) -> Iterator[Problem]:
    kind = step.job.kind
    for edge, at in step.places():
        giver = known.get(edge.step)
        place, port = _at(step, edge.input), PORTS[kind].input(edge.input)
        if giver is None:
            reason: str = Text("there is no step {step!r} before it", step=edge.step)
            yield place, reason, "Steps take of steps before them: no circles."
        elif port is None or not connects(giver.job.kind, edge.output, kind, edge.input):
            reason = Text("it cannot be the {output} of {step}", output=edge.output, step=edge.step)
            yield place, reason, "An edge joins an output and an input of one type."
        elif at and not port.many:
            yield place, "it is taken of two steps", "Name one step."


def _conditions(step: PipelineStep, known: dict[str, PipelineStep]) -> Iterator[Problem]:
    """Yield what is wrong with the steps that must have run, and with what they must reach."""
    if lost := next((one for one in step.needs if one not in known), None):
        reason: str = Text("there is no step {step!r} before it", step=lost)
        yield _at(step, "needs"), reason, "Steps need steps before them: no circles."
    when = step.when
    if when is None:
        return
    place, giver = _at(step, "when"), known.get(when.step)
    if giver is None:
        reason = Text("there is no step {step!r} before it", step=when.step)
        yield place, reason, "A condition is on a step before it."
        return
    if (when.at_least is None) == (when.at_most is None):
        yield place, "it has no limit, or two", "Write at_least or at_most."
    if when.too_fine:
        reason = Text("its limit has more than {count} decimals", count=DECIMALS)
        yield place, reason, "The figures that parties sign have no more."
    job: Any = giver.job
    if job.kind != "evaluation":
        reason = Text("{step} is no evaluation, whose figures all parties sign", step=when.step)
        yield place, reason, "Measure the model in a step, and name that one."
    elif giver.model_of(when.of) is None:
        reason = Text("{step} measures several models, or none of that step", step=when.step)
        yield place, reason, "Say `of: ID`, with the step that trains the model."
    elif when.metric not in (known_metrics := metrics_of(job.models[0].features.label)):
        reason = Text("{step} tells no {metric}", step=when.step, metric=when.metric)
        names = ", ".join(sorted(known_metrics))
        yield place, reason, Text("It tells: {names}.", names=names)


def _provisional(step: PipelineStep, known: dict[str, PipelineStep]) -> Iterator[Problem]:
    """Yield what is provisional without an edge, and what is not what its edge brings."""
    job: Any = step.job
    edges = [(edge, at) for edge, at in step.places() if edge.step in known]
    models = _models(job)
    fed = {at: edge for edge, at in edges if edge.input in {"models", "model"}}
    for at, model in enumerate(models):
        if at in fed:
            if not _is_output(model, known[fed[at].step]):
                yield _at(step, "models"), "it is not what the step before is to give", _FROM
        elif model.job == NOT_YET:
            yield _at(step, "models"), "nothing gives it", _FROM
    if len(fed) > len(models):
        yield _at(step, "models"), "an edge leads to nothing", _FROM
    yield from _recipes(step, _of(edges, "recipe"), known)
    yield from _starts(step, _of(edges, "start"), known)
    yield from rows_problems(step, known)


def _models(job: Any) -> tuple[ScoredModel, ...]:
    if job.kind == "evaluation":
        return tuple(job.models)
    return (job.model,) if job.kind == "prediction" else ()


def _of(edges: list[tuple[Edge, int]], name: str) -> Edge | None:
    return next((edge for edge, _ in edges if edge.input == name), None)


def _is_output(model: ScoredModel, giver: PipelineStep) -> bool:
    trained: Any = giver.job
    if trained.kind != "training" or trained.features is None:
        return False
    wanted = provisional_model(giver.id, trained, model.contributors, model.held_out)
    return model == wanted


def _recipes(
    step: PipelineStep, edge: Edge | None, known: dict[str, PipelineStep]
) -> Iterator[Problem]:
    features = getattr(step.job, "features", None)
    recipe = getattr(features, "recipe", None) if step.job.kind == "training" else None
    if edge is None:
        if recipe is not None and recipe.job == NOT_YET:
            yield _at(step, "features.recipe"), "nothing gives it", _FROM
        return
    giver: Any = known[edge.step].job
    if giver.kind != "preparation":
        return  # its edge is refused
    try:
        wanted = provisional_recipe(giver)
    except StepProblem:
        return  # the preparation is refused
    made = [(one.column, one.bounds) for one in features.numeric] if features else []
    if recipe != wanted or made != number_columns(wanted):
        yield _at(step, "features.recipe"), "it is not what the step before is to give", _FROM


def _starts(
    step: PipelineStep, edge: Edge | None, known: dict[str, PipelineStep]
) -> Iterator[Problem]:
    start: Any = getattr(step.job, "resume", None)
    if edge is None:
        if start is not None and start.job == NOT_YET:
            yield _at(step, "resume"), "nothing gives it", _FROM
        return
    giver, taker = known[edge.step].job, step.job
    if giver.kind != "training" or taker.kind != "training":
        return  # its edge is refused
    if start is None or (start.job, start.model) != (NOT_YET, provisional_digest(edge.step)):
        yield _at(step, "resume"), "it is not what the step before is to give", _FROM
    if layout_digest(giver.tensors) != layout_digest(taker.tensors):
        reason = Text("the model of {step} has other tensors", step=edge.step)
        yield _at(step, "resume"), reason, "Use the same model and inputs in both."


def _sums(spec: PipelineSpec, step: PipelineStep) -> Problem | None:
    """Return that a party may be missing in a sum where several are opened over the same rows."""
    job = step.job
    several = spec.attempts * sum(map(contributes, spec.parts(""))) > 1
    if not several or job.all_private or not contributes(job):
        return None
    if job.min_contributors == len(job.roster):
        return None
    reason = (
        "without differential privacy, the sums of two steps tell the contribution of a party that "
        "is missing in one of them"
    )
    hint = "Set it to all parties, or add a `privacy:` part."
    return _at(step, "min_contributors"), reason, hint


def _privacy(spec: PipelineSpec) -> Iterator[Problem]:
    own = spec.privacy
    parts = [(one, one.job.privacy) for one in spec.steps if one.job.privacy is not None]
    if (own is None) != (not parts):
        reason = "it says something else than the steps' own"
        yield "privacy", reason, "It is there if a step is differentially private."
        return
    if own is None:
        return
    for step, part in parts:
        if part is not None and (part.delta, part.unit) != (own.delta, own.unit):
            reason = "δ and unit are those of all steps"
            yield _at(step, "privacy"), reason, "Use the same in each step that has any."
    noises = {part.noise for _, part in parts if part is not None}
    if own.noise != (next(iter(noises)) if len(noises) == 1 else "mixed"):
        yield "privacy.noise", "it says something else than the steps' own", "Leave it out."
