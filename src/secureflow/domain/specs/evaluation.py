"""The spec of an evaluation: which models, on which rows, and what is told of them.

Every model takes one round: each party applies it to its own rows and adds up numbers from which
all figures follow; only the parties' total is opened (`engines.evaluation`). With `per_party` each
party's numbers have places of their own in the total, so that they are opened as well: that is part
of what every owner approves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from secureflow.domain.bounds import Bounds
from secureflow.domain.specs.base import STRICT, UNLESS_NONE, Digest, Id, Problem, SpecBase, refuse
from secureflow.domain.specs.bundles import BundleRef
from secureflow.domain.specs.heldout import HeldOut, held_out_problem
from secureflow.domain.specs.rosterrules import missing_problem, roster_problem
from secureflow.domain.specs.scored import ScoredModel, code_facts, scored_problem
from secureflow.domain.specs.summed import SummedLimits, SummedPrivacy, summed_problem
from secureflow.domain.specs.targets import NumberLabel
from secureflow.kit.text import Text

MAX_MODELS: Final = 16
"""Most models of one job."""
MAX_CLASSES: Final = 32
"""Most classes of which every pair (class, predicted) is counted."""
MAX_GROUPS: Final = 64
"""Most groups of scores of a baseline."""

MOVED: Final = 6
"""Most numbers that a row moves by 1 under noise (`engines.evaluation.layout`)."""

Count = Annotated[float, Field(ge=0.0, le=1e12)]
Edge = Annotated[float, Field(ge=-1e6, le=1e6)]


@dataclass(frozen=True)
class Costs:
    """What a wrong decision costs, in any unit; thresholds are compared by their sum.

    Args:
        false_positive: a row that is called positive and is not.
        false_negative: a row that is not called positive and is.
    """

    __pydantic_config__ = STRICT
    false_positive: Annotated[float, Field(ge=0.0, le=1e12)] = 1.0
    false_negative: Annotated[float, Field(ge=0.0, le=1e12)] = 1.0


@dataclass(frozen=True)
class Baseline:
    """How an earlier evaluation's rows spread over a model's scores.

    Args:
        job: that evaluation.
        model: digest of the model.
        counts: rows in each group, as its report has them; noised ones have fractions.
        edges: the upper edges of all groups of scores but the last; none where the groups are the
            predicted classes.
    """

    __pydantic_config__ = STRICT
    job: Id
    model: Digest
    counts: Annotated[tuple[Count, ...], Field(min_length=1, max_length=MAX_GROUPS)]
    edges: Annotated[tuple[Edge, ...], Field(max_length=MAX_GROUPS)] = ()


@dataclass(frozen=True)
class EvaluationSpec(SpecBase):
    """An evaluation as every contributor signs it.

    Args:
        models: those that are evaluated, a round each.
        held_out: which rows are taken; None for all of them.
        per_party: whether each party's own figures are released, too.
        baseline: what the spread of scores is compared with (population stability).
        costs: of wrong decisions, for models that tell two classes apart.
        privacy: noise on the numbers; None for exact ones.
        contributions: most rows of one unit that count under privacy.
    """

    __pydantic_config__ = STRICT
    models: Annotated[tuple[ScoredModel, ...], Field(min_length=1, max_length=MAX_MODELS)]
    held_out: Annotated[HeldOut | None, UNLESS_NONE] = None
    per_party: bool = False
    baseline: Annotated[tuple[Baseline, ...] | None, Field(max_length=MAX_MODELS), UNLESS_NONE] = (
        None
    )
    costs: Annotated[Costs | None, UNLESS_NONE] = None
    privacy: SummedPrivacy | None = None
    contributions: Annotated[int, Field(ge=1, le=10_000)] = 1
    limits: SummedLimits = field(default_factory=SummedLimits)
    min_contributors: Annotated[int, Field(ge=2, le=256)] = 3
    protection: Literal["secagg"] = "secagg"
    kind: Literal["evaluation"] = "evaluation"
    script: Literal["evaluation/1"] = "evaluation/1"
    v: Literal[1] = 1

    @property
    def column_names(self) -> tuple[str, ...]:
        """Every column that the job uses, label last."""
        inputs = dict.fromkeys(name for one in self.models for name in one.features.inputs)
        label = self.models[0].features.label
        return (*inputs, *(() if label is None else (label.column,)))

    @property
    def bounds(self) -> tuple[tuple[str, Bounds], ...]:
        """The bounds of a label that is a number: no input moves a sum by more than its row."""
        label = self.models[0].features.label
        return ((label.column, label.bounds),) if isinstance(label, NumberLabel) else ()

    @property
    def reads_rows(self) -> bool:
        """Every evaluation reads rows."""
        return True

    @property
    def tells_rows(self) -> bool:
        """A party's own number of rows is told with its own figures, unless they are noised."""
        return self.privacy is None

    @property
    def splits_by_key(self) -> bool:
        """Whether only rows that the owners' keys hold out are taken; the keys are read then."""
        return self.held_out is not None

    @property
    def all_private(self) -> bool:
        """With differential privacy every number is noised."""
        return self.privacy is not None

    @property
    def bases(self) -> tuple[str, ...]:
        """The bases that its models stand on, each once."""
        return tuple(dict.fromkeys(base for one in self.models for base in one.trained.bases))

    @property
    def bundle(self) -> BundleRef | None:
        """The code that computes the model, if others brought it."""
        return None if self._coded is None else self._coded.bundle

    @property
    def _coded(self) -> ScoredModel | None:
        """The model that code computes, which is evaluated alone."""
        return next((one for one in self.models if one.bundle is not None), None)

    @property
    def planned_rounds(self) -> int:
        """One for each model."""
        return len(self.models)

    @property
    def parameters(self) -> int:
        """0: no model is updated."""
        return 0

    def facts(self) -> Mapping[str, Any]:
        """Return the policy attributes that only evaluations have."""
        return {
            "models": tuple(sorted(one.digest for one in self.models)),
            "families": tuple(sorted({one.model.family for one in self.models})),
            "per_party": int(self.per_party),
            "contributions": self.contributions,
            **code_facts(self._coded, self.submitter),
        }


def check_evaluation(spec: EvaluationSpec) -> None:
    """Refuse contradictions between fields.

    Raises:
        SecureFlowError: `contradictory_spec` naming the field and the reason.
    """
    rules: tuple[Callable[[EvaluationSpec], Problem | None], ...] = (
        *(_roster_rules, _model_rules, _code_rules, _label_rules, _row_rules, _baseline_rules),
        *(_cost_rules, _missing_rules, _privacy_rules),
    )
    refuse(next((found for rule in rules if (found := rule(spec))), None))


def _roster_rules(spec: EvaluationSpec) -> Problem | None:
    return roster_problem(spec, 2)


def _model_rules(spec: EvaluationSpec) -> Problem | None:
    digests = [one.digest for one in spec.models]
    for at, one in enumerate(spec.models):
        if digests.count(one.digest) > 1:
            return _place(at, "digest"), "it is listed twice", "List each model once."
        problem = scored_problem(one)
        if problem is not None:
            name, reason, hint = problem
            return _place(at, name), reason, hint
        if one.form == "none":
            reason = "it predicts clusters, and nothing says which one is right"
            return _place(at, "features.label"), reason, "Evaluate models that have a label."
        if one.classes > MAX_CLASSES:
            reason = Text("it tells more than {most} classes apart", most=MAX_CLASSES)
            return _place(at, "features.label"), reason, "Merge classes that are rare."
    return None


def _code_rules(spec: EvaluationSpec) -> Problem | None:
    return code_problem(spec.models, private=spec.privacy is not None)


def code_problem(models: Sequence[ScoredModel], *, private: bool) -> Problem | None:
    """Return why code cannot compute models of a job, or None: it is one code, and no noise helps.

    Args:
        models: of the job.
        private: whether its numbers are to be noised.
    """
    if all(one.bundle is None for one in models):
        return None
    if len(models) > 1:
        reason = "a model of a bundle is evaluated alone: a job brings one code at most"
        return "models", reason, "Submit a job for each of them."
    if private:
        reason = (
            "what code computes for a row may depend on all the others, so one row moves its sums "
            "without bound, and no noise hides it"
        )
        return "privacy", reason, "Evaluate it without, where the owners allow that."
    return None


def _label_rules(spec: EvaluationSpec) -> Problem | None:
    labels = {one.features.label for one in spec.models}
    if len(labels) > 1:
        reason = "they predict different labels"
        return "models", reason, "Evaluate models of one label together."
    (label,) = labels
    for at, one in enumerate(spec.models):
        if label is not None and label.column in one.features.inputs:
            reason = "the label of another model is an input of this one"
            return _place(at, "features"), reason, "Evaluate it alone."
    return None


def _missing_rules(spec: EvaluationSpec) -> Problem | None:
    if len(spec.models) == 1:
        return None
    return missing_problem(
        spec,
        "without differential privacy, the totals of two models tell those of a party that is "
        "missing in one of them",
    )


def _row_rules(spec: EvaluationSpec) -> Problem | None:
    return held_out_problem(spec.held_out)


def _baseline_rules(spec: EvaluationSpec) -> Problem | None:
    digests = {one.digest for one in spec.models}
    known = [one.model for one in spec.baseline or ()]
    for at, digest in enumerate(known):
        if digest not in digests:
            reason = "it is of a model that is not evaluated here"
            return f"baseline.{at}.model", reason, "Name an evaluation of the same model."
        if known.count(digest) > 1:
            return f"baseline.{at}.model", "it is listed twice", "List each model once."
    for at, one in enumerate(spec.baseline or ()):
        if problem := _groups_problem(one, next(m for m in spec.models if m.digest == one.model)):
            return f"baseline.{at}.counts", problem, "Name the evaluation by its id."
    return None


def _groups_problem(one: Baseline, model: ScoredModel) -> str:
    """Return why a baseline's groups are none of a model's scores; "" if they are."""
    if sum(one.counts) < 0.5:
        return "it counts no rows"
    if model.form == "classes":
        fits = not one.edges and len(one.counts) == model.classes
    else:
        ascending = all(low < high for low, high in pairwise(one.edges))
        fits = ascending and len(one.counts) == len(one.edges) + 1
    return "" if fits else "its groups and edges do not fit one another"


def _cost_rules(spec: EvaluationSpec) -> Problem | None:
    if spec.costs is None:
        return None
    if any(one.form != "binary" for one in spec.models):
        reason = "only models of two classes have false positives and false negatives"
        return "costs", reason, "Leave it out."
    if not spec.costs.false_positive and not spec.costs.false_negative:
        return "costs", "nothing costs anything", "Give at least one of them."
    return None


def _privacy_rules(spec: EvaluationSpec) -> Problem | None:
    return summed_problem(spec, MOVED)


def _place(at: int, name: str) -> str:
    """Return a field of a model as its place in the spec, as `parse` names it."""
    return f"models.{at}.{name}"
