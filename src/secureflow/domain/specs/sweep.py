"""The spec of a sweep: one training, many points at which settings of it are others.

The spec holds the whole spec of the training and lists every point, so that an approval of the
sweep covers exactly these jobs. What a point may set (`swept_problem`) changes neither who takes
part nor which data is read or what for: the settings of the model, the plan, the clipping of
updates, and the noise. `SweepSpec.parts` derives the jobs; a party derives them itself.

All points start from one model, so two of them compute nearly the same: of two sums, one of which
lacks a party, the difference would be that party's. Without differential privacy every sum is
therefore over all parties.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field

from secureflow.domain.bounds import Bounds
from secureflow.domain.budgets import PrivacyUnit
from secureflow.domain.fieldfaults import FIELD_PATTERN
from secureflow.domain.specs.base import (
    STRICT,
    Problem,
    SpecBase,
    contradiction,
    dump,
    parse,
    refuse,
)
from secureflow.domain.specs.leavingrows import part_problem
from secureflow.domain.specs.partforms import Part
from secureflow.domain.specs.parts import MOST_PARTS
from secureflow.domain.specs.privacy import Placement, Privacy
from secureflow.domain.specs.rosterrules import missing_problem, roster_problem
from secureflow.domain.specs.training import TrainingPlan, TrainingSpec
from secureflow.domain.specs.training_rules import check
from secureflow.domain.specs.updatelimits import Limits
from secureflow.domain.texts import ONE_LINE
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.nearnames import alike
from secureflow.kit.text import Joined, Text

FieldName = Annotated[str, Field(pattern=FIELD_PATTERN, max_length=128)]
"""Where a setting stands in the spec of a training, e.g. `plan.learning_rate`."""
_Scalar = bool | int | float | Annotated[str, Field(max_length=128), ONE_LINE]
Value = _Scalar | Annotated[tuple[_Scalar, ...], Field(max_length=64)] | None
Point = Annotated[Mapping[FieldName, Value], Field(max_length=16)]
"""What one point sets: field → value. An empty one is the training as it is."""
Points = Annotated[tuple[Point, ...], Field(min_length=1, max_length=MOST_PARTS)]

FOLD: Final = "plan.split.fold"
"""The field that a cross-validation goes through."""
_PRIVACY: Final = frozenset(
    {"noise_multiplier", "epsilon", "clipping_norm", "sampling", "local_steps"}
)
_FIXED: Final = frozenset({"draws", "order", "strategy", "validation"})
_PLAN: Final = frozenset(one.name for one in fields(TrainingPlan)) - _FIXED
"""Fields of a plan that points may set; they are all measured on the same share of the rows."""
_MODEL: Final = frozenset({"family", "bundle", "entry"})
"""Fields of a model that no point sets: they choose what is run, not how."""
_SECTIONS: Final[Mapping[str, type[Any]]] = {
    "plan": TrainingPlan,
    "limits": Limits,
    "privacy": Privacy,
}
"""Sections of a spec that points set, beside the model."""
_NOT_SET: Final = "a point sets settings of model, plan, limits.clip_norm or the noise, not this"
_TWICE: Final = "the point sets the whole of it as well"
LONGEST_NAME: Final = 190
"""Most characters of a sweep's name: its jobs are called after it, with their numbers."""


@dataclass(frozen=True)
class SweepMetric:
    """The figure by which a point is the best: of the final evaluation of its model."""

    __pydantic_config__ = STRICT
    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
    better: Literal["higher", "lower"]

    def beats(self, value: float, other: float) -> bool:
        """Tell whether a value is better than another."""
        return value > other if self.better == "higher" else value < other


@dataclass(frozen=True)
class SweepPrivacy:
    """What is common to all points under differential privacy.

    Args:
        delta: δ of each figure.
        unit: whose presence is hidden.
        noise: who adds it.
        epsilon: upper bound on the cost of the whole sweep at `delta`, by RDP (`rdp-cks20`).
    """

    __pydantic_config__ = STRICT
    delta: Annotated[float, Field(ge=1e-15, le=1e-2)]
    unit: PrivacyUnit
    noise: Placement
    epsilon: Annotated[float, Field(ge=1e-3, le=1e4)] | None = None


@dataclass(frozen=True)
class SweepLimits:
    """The patience with which parties are asked about the sweep itself."""

    __pydantic_config__ = STRICT
    patience_seconds: Annotated[float, Field(gt=0.0, le=86_400.0)] = 60.0


@dataclass(frozen=True)
class SweepSpec(SpecBase):
    """A sweep as every contributor signs it.

    Args:
        training: the spec of the training, whole; each point sets some of its fields.
        points: what each job sets, in the order in which they run.
        metric: by which one of them is the best; None if the jobs measure nothing.
        stop_on_failure: whether the first job that fails ends the sweep; else its row says why.
    """

    __pydantic_config__ = STRICT
    training: TrainingSpec
    points: Points = field(hash=False)
    metric: SweepMetric | None = None
    stop_on_failure: bool = False
    limits: SweepLimits = field(default_factory=SweepLimits)
    privacy: SweepPrivacy | None = None
    protection: Literal["none"] = "none"
    kind: Literal["sweep"] = "sweep"
    script: Literal["sweep/1"] = "sweep/1"
    v: Literal[1] = 1

    @cached_property
    def trainings(self) -> tuple[TrainingSpec, ...]:
        """The spec of the training at each point, without whose part it is.

        Raises:
            SecureFlowError: `contradictory_spec` naming the point.
        """
        return tuple(derived(self, number) for number in range(1, len(self.points) + 1))

    def parts(self, job: str) -> tuple[TrainingSpec, ...]:
        """Return the specs of the jobs that the sweep with this id starts, in order."""
        return tuple(
            replace(one, part_of=Part(job, number)) for number, one in enumerate(self.trainings, 1)
        )

    def starting_at(self, not_before: int) -> Self:
        """Return the same, not to be started before; its jobs follow one another."""
        later = self.training.starting_at(not_before)
        return replace(self, training=later, not_before=not_before)

    @property
    def dated(self) -> bool:
        """Whether only an older version drafts such a training."""
        return self.training.dated

    @property
    def of_0_2_0(self) -> bool:
        """Whether version 0.2.0 drafted the training."""
        return self.training.of_0_2_0

    @property
    def min_contributors(self) -> int:
        """The fewest contributors whose sum any of the jobs opens."""
        return self.training.min_contributors

    @property
    def bases(self) -> tuple[str, ...]:
        """The models that its points stand on."""
        return self.training.bases

    @property
    def column_names(self) -> tuple[str, ...]:
        """Every column that the jobs use, label last."""
        return self.training.column_names

    @property
    def bounds(self) -> tuple[tuple[str, Bounds], ...]:
        """The number columns and what their values are clamped to."""
        return self.training.bounds

    @property
    def reads_rows(self) -> bool:
        """Whether the jobs read rows at all."""
        return self.training.reads_rows

    @property
    def splits_by_key(self) -> bool:
        """Whether the jobs hold rows out by the owners' keys, which then are read as well."""
        return self.training.splits_by_key

    @property
    def tells_rows(self) -> bool:
        """Whether anyone learns the exact number of a party's rows."""
        return self.training.tells_rows

    @property
    def all_private(self) -> bool:
        """Whether every number that the jobs release is differentially private."""
        return self.training.all_private

    @property
    def planned_rounds(self) -> int:
        """The most rounds that train, of all jobs together."""
        return sum(one.planned_rounds for one in self.trainings)

    @property
    def parameters(self) -> int:
        """The sweep itself updates nothing; its jobs do."""
        return 0

    @property
    def swept(self) -> tuple[str, ...]:
        """The fields that any point sets, in the order of their names."""
        return tuple(sorted({name for point in self.points for name in point}))

    @property
    def folds(self) -> int:
        """How many folds the points go through; 0 if it is no cross-validation."""
        return len({point[FOLD] for point in self.points if FOLD in point})

    def facts(self) -> Mapping[str, Any]:
        """Return the policy attributes that only sweeps have."""
        return {
            "family": self.training.model.family,
            "release": self.training.release.intermediate,
            "points": len(self.points),
            "rounds": self.planned_rounds,
            "sets": self.swept,
        }


def title_of(name: str, number: int) -> str:
    """Return the name of a sweep's job, and of its model."""
    return f"{name} #{number}"


def with_settings(training: Mapping[str, JSON], point: Mapping[str, Any]) -> dict[str, JSON]:
    """Return the JSON of a training with what a point sets; what is left out stays."""
    changed = dict(training)
    for path, value in point.items():
        *places, name = path.split(".")
        at = changed
        for place in places:
            inner = at.get(place)
            at[place] = at = dict(inner) if isinstance(inner, Mapping) else {}
        at[name] = list(value) if isinstance(value, tuple) else value
    return changed


def derived(spec: SweepSpec, number: int) -> TrainingSpec:
    """Return the spec of the training at a point, without whose part it is.

    Only the sections that the point sets are made anew: a spec may have a thousand columns.

    Args:
        spec: the sweep's.
        number: of the point, from 1.

    Raises:
        SecureFlowError: `contradictory_spec` naming the point.
    """
    training = spec.training
    changed: dict[str, Any] = {}
    for section, sets in _by_section(spec.points[number - 1]).items():
        made_of = _SECTIONS.get(section, type(training.model) if section == "model" else None)
        if made_of is None:
            raise _at_point(number, Text("{field}: {problem}", field=section, problem=_NOT_SET))
        before = getattr(training, section)
        asked = dump(before) if before else {}
        changed[section] = _changed(number, section, made_of, asked, sets)
    return replace(training, name=title_of(spec.name, number), **changed)


def _by_section(point: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for path, value in point.items():
        section, _, rest = path.partition(".")
        found.setdefault(section, {})[rest] = value
    return found


def _changed(
    number: int,
    section: str,
    made_of: type[Any],
    before: Mapping[str, Any],
    sets: Mapping[str, Any],
) -> Any:
    """Return a section of a spec with what a point sets of it.

    Raises:
        SecureFlowError: `contradictory_spec` naming the point.
    """
    try:
        return parse(made_of, with_settings(before, sets))
    except SecureFlowError as error:
        wrong = error.details["fields"][0]
        field = f"{section}.{wrong['field']}"
        reason = Text("{field}: {problem}", field=field, problem=wrong["problem"])
        raise _at_point(number, reason, error.hint) from error


def check_sweep(spec: SweepSpec) -> None:
    """Refuse contradictions between fields, and points at which the training contradicts itself.

    Raises:
        SecureFlowError: `contradictory_spec` naming the field, or the point, and the reason.
    """
    refuse(roster_problem(spec, 2))
    refuse(next(_problems(spec), None))
    _check_names(spec.points)
    known: list[TrainingSpec] = []
    for number, training in enumerate(spec.trainings, 1):
        try:
            check(training)
            refuse(part_problem(training))
        except SecureFlowError as error:
            raise SecureFlowError(
                error.code,
                Text("points.{number}: {message}", number=number, message=error.message),
                error.hint,
                {"field": Text("points.{number}", number=number)},
            ) from error
        unnamed = replace(training, name=spec.name)
        if unnamed in known:
            reason = Text("it is the same as point {other}", other=known.index(unnamed) + 1)
            raise _at_point(number, reason, "List each point once.")
        known.append(unnamed)


def check_points(training: Mapping[str, Any], points: Sequence[Mapping[str, Any]]) -> None:
    """Refuse what points set before the training is a spec: fields they may not set, wrong values.

    Values of the model are left to `check_sweep`, and so are those of a section that does not parse
    even without them: the training itself is refused.

    Args:
        training: the parts of the training, as they were asked for.
        points: what each job sets.

    Raises:
        SecureFlowError: `contradictory_spec` naming the point, the field and the reason.
    """
    _check_names(points)
    parsed = {name: one for name, one in _SECTIONS.items() if _parses(one, training.get(name))}
    for number, point in enumerate(points, 1):
        for section, sets in _by_section(point).items():
            if section in parsed:
                _changed(number, section, parsed[section], training.get(section) or {}, sets)


def _check_names(points: Sequence[Mapping[str, Any]]) -> None:
    for number, point in enumerate(points, 1):
        for name in point:
            if reason := swept_problem(name) or _set_twice(name, point):
                told = Text("{field}: {problem}", field=name, problem=reason)
                raise _at_point(number, told, _meant(name))


def _parses(made_of: type[Any], asked: Any) -> bool:
    """Tell whether a section parses as it was asked for; one that was not is for points to make."""
    if asked is None:
        return True
    try:
        parse(made_of, asked)
    except SecureFlowError:
        return False
    return True


def _problems(spec: SweepSpec) -> Iterator[Problem]:
    training = spec.training
    whole = [getattr(spec, one.name) for one in fields(SpecBase)]
    if whole != [getattr(training, one.name) for one in fields(SpecBase)]:
        reason: str = "it has another name, project, purpose, submitter or roster than the sweep"
        yield "training", reason, "A point changes settings only."
    if training.part_of is not None:
        yield "training", "it is a part of another job", "Sweep over the training itself."
    if training.bundle is not None:
        reason = "it brings code, which owners read together with what it is given"
        yield "training.model", reason, "Submit a job for each setting of code."
    missing = missing_problem(
        spec,
        "without differential privacy, the sums of two points tell the contribution of a party "
        "that is missing in one of them",
    )
    if missing is not None:
        yield missing
    if len(spec.name) > LONGEST_NAME:
        reason = Text("it has more than {count} characters", count=LONGEST_NAME)
        yield "name", reason, "Its jobs are called after it, with their numbers."
    own, each = spec.privacy, training.privacy
    common = None if own is None else (own.delta, own.unit, own.noise)
    if common != (None if each is None else (each.delta, each.unit, each.noise)):
        reason = "it says something else than the training's own"
        yield "privacy", reason, "δ, unit and placement of the noise are the same at all points."


def swept_problem(name: str) -> str | None:
    """Return why no point may set a field; None if points may."""
    section, _, rest = name.partition(".")
    first = rest.partition(".")[0]
    allowed = {
        "plan": first in _PLAN and (first != "split" or name == FOLD),
        "model": first not in _MODEL,
        "limits": rest == "clip_norm",
        "privacy": rest in _PRIVACY,
    }
    if allowed.get(section, False):
        return None
    return _NOT_SET


def _meant(name: str) -> str:
    """Return the next step after a field of a plan or of the noise that is like one of them."""
    known = [*(f"plan.{one}" for one in _PLAN), *(f"privacy.{one}" for one in _PRIVACY)]
    fixed = {f"plan.{one}" for one in _FIXED}
    near = [] if name in fixed or name.startswith("plan.split.") else alike(name, known)
    return Text("{near} may be meant.", near=Joined(", ", near)) if near else ""


def _set_twice(name: str, point: Mapping[str, Any]) -> str | None:
    """Return why a point may not set a field beside another: it is a part of that.

    Which of the two counts would follow from their order, which no digest covers.
    """
    return _TWICE if any(name.startswith(f"{other}.") for other in point) else None


def _at_point(number: int, reason: str, hint: str = "") -> SecureFlowError:
    place = Text("points.{number}", number=number)
    hint = hint or "Leave it to the job file: every point has it alike."
    return contradiction(place, reason, hint)
