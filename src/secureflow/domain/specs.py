"""The job spec: what every party signs.

A spec is plain JSON with a strict schema; its digest (SHA-256 over JCS) is what approvals, seals,
votes and ledger leaves bind. Everything that decides a result stands in it: roster, columns,
preparation, model, schedule, protection, release. Unknown keys are refused.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, TypeVar

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from secureflow.domain.bounds import bounds_problem
from secureflow.domain.privacy import Privacy, privacy_problem
from secureflow.domain.texts import ONE_LINE, STORED
from secureflow.kit.canonical import digest
from secureflow.kit.errors import SecureFlowError

STRICT = ConfigDict(extra="forbid", strict=False, allow_inf_nan=False)

Slug = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
Column = Annotated[str, Field(min_length=1, max_length=128), ONE_LINE]
Category = Annotated[str, Field(max_length=256), ONE_LINE]
Title = Annotated[str, Field(min_length=1, max_length=200), ONE_LINE]
UserId = Annotated[str, Field(max_length=128), ONE_LINE]
Id = Annotated[str, Field(pattern=r"^[a-z]{2,4}_[0-9a-z]{8,40}$")]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Key = Annotated[str, Field(min_length=44, max_length=44), ONE_LINE]
Unit = Annotated[float, Field(ge=0.0, le=1.0)]

Protection = Literal["sealed", "secagg", "sealed+secagg"]


@dataclass(frozen=True)
class Contributor:
    """One roster line: the organisation, its signing key, and the dataset that it brings."""

    __pydantic_config__ = STRICT
    party: Slug
    key: Key
    dataset: Annotated[str, Field(max_length=64), ONE_LINE] = ""


@dataclass(frozen=True)
class Label:
    """A binary target: rows whose column equals `positive` are class 1."""

    __pydantic_config__ = STRICT
    column: Column
    positive: Category

    def number(self) -> float:
        """Return `positive` for a column of numbers.

        Raises:
            SecureFlowError: `malformed_label`.
        """
        try:
            return float(self.positive)
        except ValueError:
            raise SecureFlowError(
                "malformed_label",
                f"The label column {self.column!r} is numeric, but its positive value is text.",
                "Name the number that stands for the positive class.",
                {"column": self.column},
            ) from None


@dataclass(frozen=True)
class NumericFeature:
    """A numeric column, standardised by federated moments or scaled to declared bounds.

    Values are clamped to `bounds`; a missing value becomes the mean (federated) or the middle.
    """

    __pydantic_config__ = STRICT
    column: Column
    bounds: tuple[float, float]
    scale: Literal["federated", "bounds"] = "federated"


@dataclass(frozen=True)
class CategoricalFeature:
    """A categorical column, one-hot over the declared categories.

    A missing value has its own indicator when `missing` is `indicator`, else all zeros.
    """

    __pydantic_config__ = STRICT
    column: Column
    categories: Annotated[tuple[Category, ...], Field(min_length=1, max_length=4096)]
    missing: Literal["indicator", "zeros"] = "zeros"


@dataclass(frozen=True)
class FeatureSpec:
    """The agreed preparation: label and features, in the order of the model's inputs."""

    __pydantic_config__ = STRICT
    label: Label
    numeric: tuple[NumericFeature, ...] = ()
    categorical: tuple[CategoricalFeature, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that the job touches, label last."""
        numeric = (f.column for f in self.numeric)
        return (*numeric, *(f.column for f in self.categorical), self.label.column)

    @property
    def width(self) -> int:
        """The number of model inputs after one-hot, without the intercept."""
        one_hot = (len(f.categories) + (f.missing == "indicator") for f in self.categorical)
        return len(self.numeric) + sum(one_hot)


@dataclass(frozen=True)
class ModelSpec:
    """The model family and its fixed hyper-parameters.

    `logistic_regression` trains on the features. `rehearsal` moves `parameters` float32 values
    through the whole protocol without touching data: it measures links and rounds.
    """

    __pydantic_config__ = STRICT
    family: Literal["logistic_regression", "rehearsal"] = "logistic_regression"
    l2: Annotated[float, Field(ge=0.0, le=10.0)] = 0.0
    parameters: Annotated[int, Field(ge=0, le=1 << 30)] = 0


@dataclass(frozen=True)
class EarlyStop:
    """Stop when the federated validation loss has not fallen by `min_delta` for `patience` rounds."""  # noqa: E501

    __pydantic_config__ = STRICT
    patience: Annotated[int, Field(ge=1, le=1000)] = 3
    min_delta: Annotated[float, Field(ge=0.0, le=10.0)] = 1e-4


@dataclass(frozen=True)
class TrainingPlan:
    """The schedule: rounds, local work, seed, validation share, early stop."""

    __pydantic_config__ = STRICT
    rounds: Annotated[int, Field(ge=1, le=10_000)] = 20
    local_epochs: Annotated[int, Field(ge=1, le=1000)] = 1
    batch_size: Annotated[int, Field(ge=1, le=1 << 20)] = 64
    learning_rate: Annotated[float, Field(gt=0.0, le=100.0)] = 0.1
    seed: Annotated[int, Field(ge=0, lt=1 << 53)] = 7
    validation: Annotated[float, Field(ge=0.0, le=0.5)] = 0.1
    early_stop: EarlyStop | None = None
    strategy: Literal["fedavg"] = "fedavg"


@dataclass(frozen=True)
class Limits:
    """What one update may weigh: caps that the enclave enforces before it folds."""

    __pydantic_config__ = STRICT
    max_weight: Annotated[int, Field(ge=1, le=1 << 31)] = 1_000_000
    clip_norm: Annotated[float, Field(gt=0.0, le=1e6)] = 1000.0
    patience_seconds: Annotated[float, Field(gt=0.0, le=86_400.0)] = 60.0


@dataclass(frozen=True)
class Quantisation:
    """How values become ring elements where updates are masked (`secagg`, `sealed+secagg`).

    Every coordinate of an update is clamped to ±`clip`, which is 2^`bits` steps. Sums are exact in
    Z_2^32 where roster · 2^bits · limits.max_weight stays below 2^31, else in Z_2^64.
    """

    __pydantic_config__ = STRICT
    clip: Annotated[float, Field(ge=1e-6, le=1e6)] = 8.0
    bits: Annotated[int, Field(ge=8, le=40)] = 20


@dataclass(frozen=True)
class Release:
    """Who gets intermediate models: the operator too, or sealed to the agents only."""

    __pydantic_config__ = STRICT
    intermediate: Literal["operator", "agents"] = "operator"


@dataclass(frozen=True)
class Resume:
    """The released model of another job's round that this job starts from."""

    __pydantic_config__ = STRICT
    job: Id
    round: Annotated[int, Field(ge=0, le=10_000)]
    model: Digest


@dataclass(frozen=True)
class TrainingSpec:
    """A federated training job as every contributor signs it."""

    __pydantic_config__ = STRICT
    project: Id
    name: Title
    purpose: Title
    submitter: UserId
    roster: Annotated[tuple[Contributor, ...], Field(min_length=1, max_length=256)]
    features: FeatureSpec | None = None
    model: ModelSpec = field(default_factory=ModelSpec)
    plan: TrainingPlan = field(default_factory=TrainingPlan)
    limits: Limits = field(default_factory=Limits)
    release: Release = field(default_factory=Release)
    protection: Protection = "sealed"
    quantisation: Quantisation = field(default_factory=Quantisation)
    privacy: Privacy | None = None
    min_contributors: Annotated[int, Field(ge=3, le=256)] = 3
    resume: Resume | None = None
    kind: Literal["training"] = "training"
    script: Literal["training/1", "training/2"] = "training/2"
    v: Literal[1] = 1

    @property
    def parties(self) -> tuple[str, ...]:
        """The roster's party names in spec order."""
        return tuple(c.party for c in self.roster)

    @property
    def closes(self) -> bool:
        """Whether the job ends with what each author signed last."""
        return closes(self.script)

    @property
    def masked(self) -> bool:
        """Whether updates are masked, so that only sums can be read (SecAgg)."""
        return self.protection != "sealed"

    @property
    def sealed(self) -> bool:
        """Whether updates are sealed to an attested enclave."""
        return self.protection != "secagg"

    @property
    def keys(self) -> dict[str, str]:
        """Party name to base64 signing key."""
        return {c.party: c.key for c in self.roster}

    @property
    def parameters(self) -> int:
        """The number of float32 values that rounds move on: the model's, and an adapting bound."""
        adaptive = self.privacy is not None and self.privacy.adaptive is not None
        return self.model_parameters + adaptive

    @property
    def model_parameters(self) -> int:
        """The number of float32 model parameters (features + intercept, or the rehearsal's)."""
        if self.features is None:
            return self.model.parameters
        return self.features.width + 1


_T = TypeVar("_T")


_ADAPTERS: dict[type[Any], TypeAdapter[Any]] = {}


def adapter(of: type[Any]) -> TypeAdapter[Any]:
    """Return what builds a class from JSON, made once: that costs more than a small value does."""
    if of not in _ADAPTERS:
        _ADAPTERS[of] = TypeAdapter(of)
    return _ADAPTERS[of]


def parse(of: type[_T], value: Any, what: str = "spec", *, stored: bool = False) -> _T:
    """Build a domain dataclass from foreign JSON, naming the first wrong field.

    What was `stored` may hold texts that are refused today; it is read, and shown escaped.

    Raises:
        SecureFlowError: `invalid_<what>` with `details.fields` listing every wrong field.
    """
    try:
        context = STORED if stored else None
        return adapter(of).validate_python(value, context=context)  # type: ignore[no-any-return]
    except ValidationError as error:
        fields = [
            {"field": ".".join(map(str, e["loc"])) or what, "problem": e["msg"]}
            for e in error.errors(include_url=False, include_input=False)[:20]
        ]
        first = fields[0]
        raise SecureFlowError(
            f"invalid_{what}",
            f"The {what} is not valid: {first['field']}: {first['problem']}.",
            "Correct the named field; `details.fields` lists every one.",
            {"fields": fields},
        ) from error


def closes(script: str) -> bool:
    """Tell whether a script ends with what each author signed last; the first versions did not."""
    return not script.endswith("/1")


def dump(value: Any) -> dict[str, Any]:
    """Return the JSON form of a domain dataclass (tuples become lists, defaults written out)."""
    result: dict[str, Any] = adapter(type(value)).dump_python(value, mode="json")
    return result


def spec_digest(spec: TrainingSpec) -> str:
    """Return the hex SHA-256 over the JCS form of the spec with every default written out."""
    return digest(dump(spec))


def check(spec: TrainingSpec) -> None:
    """Refuse contradictions that single fields cannot show.

    Raises:
        SecureFlowError: `contradictory_spec` naming the field and the reason.
    """
    rules = (_roster_rules, _feature_rules, _model_rules, _masking_rules, privacy_problem)
    for rule in rules:
        problem = rule(spec)
        if problem:
            name, reason, hint = problem
            raise SecureFlowError("contradictory_spec", f"{name}: {reason}.", hint, {"field": name})


_Problem = tuple[str, str, str] | None


def _roster_rules(spec: TrainingSpec) -> _Problem:
    if len(spec.roster) < 3:
        reason = "a sum of fewer than three parties shows each party the others' data"
        return "roster", reason, "Invite at least a third organisation."
    if len(set(spec.parties)) != len(spec.roster):
        return "roster", "a party stands in it twice", "List each organisation once."
    if len({c.key for c in spec.roster}) != len(spec.roster):
        return "roster", "two parties have the same signing key", "Each party has its own key."
    if spec.min_contributors > len(spec.roster):
        return "min_contributors", "it exceeds the roster", "Lower it or invite more parties."
    return None


def _feature_rules(spec: TrainingSpec) -> _Problem:
    features = spec.features
    if features is None:
        return None
    if len(set(features.columns)) != len(features.columns):
        return "features", "a column stands in it twice (or is the label)", "Use each column once."
    if not features.width:
        return "features", "there is no feature", "Name at least one numeric or categorical column."
    for numeric in features.numeric:
        problem = bounds_problem(numeric.bounds)
        if problem:
            return f"features.{numeric.column}.bounds", problem, "Take the owners' declared bounds."
    for categorical in features.categorical:
        if len(set(categorical.categories)) != len(categorical.categories):
            name = f"features.{categorical.column}.categories"
            return name, "a category stands in it twice", "List each category once."
    return None


def _model_rules(spec: TrainingSpec) -> _Problem:
    if spec.model.family == "rehearsal":
        return _rehearsal_rules(spec)
    if spec.features is None:
        return "features", "the model family needs them", "Describe label and features."
    if spec.model.parameters:
        return "model.parameters", "it is only for rehearsals", "Remove it."
    if spec.plan.early_stop and not spec.plan.validation:
        return "plan.early_stop", "there is no validation share", "Set plan.validation above 0."
    return None


def _masking_rules(spec: TrainingSpec) -> _Problem:
    if not spec.masked:
        return None
    if spec.release.intermediate == "agents":
        reason = "under masks the sum is published, so that every agent can compute the next model"
        hint = 'Set release.intermediate to "operator", or protection to "sealed".'
        return "release.intermediate", reason, hint
    if len(spec.roster) * spec.limits.max_weight << spec.quantisation.bits >= 1 << 63:
        reason = "a sum over the roster could exceed a signed 64-bit integer"
        return "quantisation.bits", reason, "Lower it, or limits.max_weight."
    return None


def _rehearsal_rules(spec: TrainingSpec) -> _Problem:
    if spec.features is not None:
        return "features", "a rehearsal touches no data", "Remove the features."
    if spec.model.parameters < 1:
        return "model.parameters", "a rehearsal needs at least one", "Set it."
    return None
