"""From a request to a signed spec: the roster from the charter, and every early refusal.

Every contributor will sign the whole spec; everything refused here would also be refused by an
agent, only later and after people were asked.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from secureflow.application.bundles import named_by_job
from secureflow.application.jobs.declarations import (
    bounds_notes,
    budget_notes,
    category_not_shared,
    check_keyed,
    code_notes,
    no_column,
)
from secureflow.application.jobs.kind import Drafted, Start, Wanted
from secureflow.application.jobs.models import ModelSums
from secureflow.application.jobs.pricing import epsilon_notes
from secureflow.application.jobs.rosters import (
    adopted_charter,
    check_grants,
    contributors_floor,
    dropout_notes,
    granted_datasets,
    spare_parties,
    spec_head,
    two_party_notes,
)
from secureflow.application.jobs.scoredmodels import label_notes
from secureflow.application.jobs.trainingorigins import check_origins
from secureflow.application.jobs.trainingprice import Price, price, with_noise
from secureflow.application.ports.accountant import Accountant
from secureflow.application.ports.artifacts import Artifacts
from secureflow.application.ports.storage import UnitOfWork
from secureflow.application.running.aggregation import SumHandler
from secureflow.application.uploads import Weights
from secureflow.domain.bounds import refusal
from secureflow.domain.datasets import Dataset
from secureflow.domain.quorum import quorum_of
from secureflow.domain.specs.base import parse, spec_digest
from secureflow.domain.specs.compression import INT8_BITS
from secureflow.domain.specs.contribution import ContributionPlan
from secureflow.domain.specs.contribution_rules import MAX_WORK, scored_models, scoring_work
from secureflow.domain.specs.families import BY_SUMS
from secureflow.domain.specs.inputs import (
    ArrayFeature,
    ImageFeature,
    TextFeature,
    differing_elements,
)
from secureflow.domain.specs.prepared import PreparedColumn
from secureflow.domain.specs.protections import traits_of
from secureflow.domain.specs.recipe_rules import with_inputs
from secureflow.domain.specs.sklearn_rules import clamped_steps
from secureflow.domain.specs.training import (
    CategoricalFeature,
    ClassesLabel,
    FeatureSpec,
    Label,
    NumberLabel,
    TrainingSpec,
)
from secureflow.domain.specs.training_rules import check
from secureflow.domain.specs.tree_families import TREES
from secureflow.engines.run.kind import EngineKind
from secureflow.engines.training.extras import EXTRAS
from secureflow.engines.training.kind import TRAINING_ENGINE
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text


class TrainingJobs:
    """`application.jobs.kind.JobKind`."""

    engine: Final[EngineKind] = TRAINING_ENGINE

    def sum_handler(self, artifacts: Artifacts) -> SumHandler:
        """Return the handler of the job's masked sums: models."""
        return ModelSums(artifacts)

    async def draft(
        self, work: UnitOfWork, wanted: Wanted, submitter: str, now: int, priced: Price | None
    ) -> Drafted:
        """Fill in the roster and check everything that the centre can check; see `draft`."""
        return await draft(work, wanted, submitter, now, priced)

    async def price(
        self, wanted: Wanted, accountant: Accountant, draft: Callable[[], Awaitable[Drafted]]
    ) -> Price | None:
        """Return the job's cost, which depends only on the request."""
        del draft
        return await price(wanted.parts, accountant)


TRAINING_JOBS: Final = TrainingJobs()


async def draft(
    work: UnitOfWork, wanted: Wanted, submitter: str, now: int, priced: Price | None = None
) -> Drafted:
    """Fill in the roster and check everything that the centre can check.

    There is one dataset per contributor; `parties` among the parts are members without one, for a
    rehearsal; `priced` is the job's cost, which fills in its noise.

    Raises:
        SecureFlowError: `charter_missing`, `not_found` (dataset), `contradictory_spec`,
            `charter_mismatch`, `invalid_spec`, `unknown_column`, `unknown_category`,
            `key_undeclared`, `column_not_granted`, `bounds_too_narrow`, `bounds_too_wide`,
            `bounds_undeclared`.
    """
    parts = dict(wanted.parts)
    parties = tuple(parts.pop("parties", ()))
    parts["features"] = with_inputs(parts.get("features"))
    charter = await adopted_charter(work)
    parts |= contributors_floor([*wanted.datasets, *parties], parts)
    chosen = await granted_datasets(work, wanted.project, wanted.datasets)
    await _check_parties(work, wanted.project, parties)
    roster = {**dict.fromkeys(parties), **chosen}
    spec = parse(
        TrainingSpec,
        {
            **spec_head(wanted, submitter, roster, charter.keys),
            **{k: part for k, part in with_noise(parts, priced).items() if part is not None},
        },
    ).drawn()
    check(spec)
    _check_bringing(spec)
    check_columns(spec, chosen)
    if spec.splits_by_key:
        check_keyed(chosen)
    await check_grants(work, spec, chosen, now)
    await check_origins(work, spec, ahead=wanted.ahead)
    if spec.bundle is not None and spec.bundle.digest not in wanted.coming:
        await named_by_job(work, spec.project, spec.bundle.digest)
    details, notes = _details(spec), (*_notes(spec, chosen), *await label_notes(work, [spec]))
    if priced:
        details["privacy"] = priced.facts()
        notes += tuple(epsilon_notes(priced.answer["epsilon"]))
    return Drafted(spec, spec_digest(spec), charter, notes, details, _initial(spec), _start(spec))


def _start(spec: TrainingSpec) -> Start | None:
    """Return the released model that a job starts from."""
    if spec.resume is None:
        return None
    stage = TRAINING_ENGINE.contributing
    return Start(spec.resume.job, stage, spec.resume.round, spec.resume.model)


def _initial(spec: TrainingSpec) -> Weights | None:
    """Return the uploaded weights that a job starts from."""
    if spec.initial is None:
        return None
    return Weights(spec.initial.model, spec.initial.layout, 4 * spec.start_parameters)


async def _check_parties(work: UnitOfWork, project: str, parties: Sequence[str]) -> None:
    entity = await work.projects.get(project)
    for party in parties:
        if not entity.has_member(party):
            raise SecureFlowError(
                "not_a_member",
                Text(
                    "{party} is not an active member of the project {project}.",
                    party=party,
                    project=project,
                ),
                "Invite it, and have it accept.",
                {"party": party},
            )


def _check_bringing(spec: TrainingSpec) -> None:
    """Refuse a job on data without a dataset of every contributor."""
    if spec.features is None:
        return
    without = [one.party for one in spec.roster if not one.dataset]
    if without:
        raise SecureFlowError(
            "contradictory_spec",
            Text(
                "parties: {without} would contribute without a dataset.", without=", ".join(without)
            ),
            "Name a granted dataset of each contributor; `parties` is for rehearsals.",
            {"field": "parties"},
        )


def check_columns(spec: TrainingSpec, chosen: Mapping[str, Dataset]) -> None:
    """Refuse what an owner's agent would refuse of a model's columns.

    Raises:
        SecureFlowError: `unknown_column`, `contradictory_spec`, `shape_mismatch`,
            `unknown_category`, and those of bounds that differ.
    """
    for party, dataset in chosen.items():
        types = {column.name: column.type for column in dataset.columns}
        for column, kinds in _wanted(spec.features):
            if column not in types:
                raise no_column(column, party, dataset)
            if types[column] not in kinds:
                raise SecureFlowError(
                    "contradictory_spec",
                    Text(
                        "features.{column}: {party} declares it as {types}, the job uses "
                        "it as {kinds}.",
                        column=column,
                        party=party,
                        types=types[column],
                        kinds=kinds[0],
                    ),
                    "Use the column as its owner declares it.",
                    {"field": f"features.{column}", "party": party},
                )
        _check_elements(spec.features, party, dataset)
        _check_categories(spec.features, party, dataset)
        _check_bounds(spec, party, dataset)


def _check_bounds(spec: TrainingSpec, party: str, dataset: Dataset) -> None:
    """Refuse early what the owner's agent would refuse; inputs only under differential privacy."""
    features = spec.features
    clamped = {one.column for one in features.numeric} if features else set()
    if features and features.recipe:
        clamped = set(features.recipe.inputs)
    declared = {one.name: one.bounds for one in dataset.columns}
    arrays = (features.arrays or ()) if features and spec.privacy else ()
    for column, bounds in (*spec.bounds, *((one.column, one.bounds) for one in arrays)):
        if spec.privacy is None and column in clamped:
            continue
        code, reason = refusal(declared[column], bounds)
        if code:
            raise SecureFlowError(
                code,
                Text(
                    "{column} in the dataset {name} of {party} {reason}.",
                    column=column,
                    name=dataset.name,
                    party=party,
                    reason=reason,
                ),
                "Use the bounds that its owner declares, or have the owner declare some.",
                {"party": party, "column": column},
            )


def _check_categories(features: FeatureSpec | None, party: str, dataset: Dataset) -> None:
    """Refuse early what the owner's agent would refuse: declared categories without an input."""
    if features is None:
        return
    known = {one.name: one.categories for one in dataset.columns if one.type == "category"}
    label = features.label
    wrong = [
        (one.column, value)
        for one in _with_categories(features)
        for value in known.get(one.column, ())
        if value not in one.categories
    ]
    if isinstance(label, Label) and label.column in known:
        wrong += [(label.column, label.positive)] * (label.positive not in known[label.column])
    if isinstance(label, ClassesLabel):
        missing = (value for value in known.get(label.column, ()) if value not in label.classes)
        wrong += [(label.column, value) for value in missing]
    for column, value in wrong:
        raise category_not_shared(value, column, party, dataset)


def _with_categories(features: FeatureSpec) -> Iterator[PreparedColumn | CategoricalFeature]:
    yield from features.categorical
    for one in features.recipe.columns if features.recipe else ():
        if one.type == "category":
            yield one


_LARGEST_INPUT: Final = 100
"""Absolute value beyond which an input is no number for steps of a gradient."""
_TYPES: Final = {ImageFeature: "image", ArrayFeature: "array", TextFeature: "text"}


def _check_elements(features: FeatureSpec | None, party: str, dataset: Dataset) -> None:
    """Refuse early what the owner's agent would refuse: another shape or dtype."""
    own = {one.name: one for one in dataset.columns}
    for one in features.beside if features else ():
        if isinstance(one, TextFeature):
            continue
        declared = own[one.column]
        if difference := differing_elements(one, declared.shape, declared.dtype):
            raise SecureFlowError(
                "shape_mismatch",
                Text(
                    "{column} in the dataset {name} of {party} {reason}.",
                    column=one.column,
                    name=dataset.name,
                    party=party,
                    reason=difference,
                ),
                "Use the shape and dtype that every owner declares; an owner of images can declare "
                "another shape and `fit: resize`, and publish the dataset again.",
                {"party": party, "column": one.column},
            )


def _wanted(features: FeatureSpec | None) -> Iterator[tuple[str, tuple[str, ...]]]:
    if features is None:
        return
    if features.recipe is not None:
        for one in features.recipe.columns:
            yield one.column, (one.type,)
    for numeric in () if features.recipe else features.numeric:
        yield numeric.column, ("number",)
    for categorical in features.categorical:
        yield categorical.column, ("category", "text")
    for beside in features.beside:
        yield beside.column, (_TYPES[type(beside)],)
    if features.weight is not None:
        yield features.weight.column, ("number",)
    if isinstance(features.label, NumberLabel):
        yield features.label.column, ("number",)
    elif features.label is not None:
        yield features.label.column, ("category", "text", "number")


def _notes(spec: TrainingSpec, chosen: Mapping[str, Dataset]) -> Iterator[str]:
    yield from dropout_notes(spec)
    if traits_of(spec).enclave and not traits_of(spec).masks:
        yield "Updates are only as safe as the enclave: check its attestation verdict."
    yield from two_party_notes(spec)
    if spec.plan.order is not None:
        yield (
            "The order of rows is public: who submits the job can aim a round at chosen rows of "
            "a party. Owners should accept this for rehearsals of a simulation only."
        )
    yield from extra_notes([spec.model.family])
    if spec.privacy is None:
        yield (
            "Without differential privacy, sums over rosters that differ in few parties "
            "reveal the difference."
        )
    if spec.initial is not None:
        yield (
            "It starts from uploaded weights: whoever chose them could choose ones from which "
            "an update tells more."
        )
    yield from code_notes(spec)
    if spec.plan.contribution is not None:
        yield _scoring_note(spec, spec.plan.contribution)
    if spec.own_trees:
        yield Text(
            "The model will show up to {trees} trees of each party alone, as they are: each owner "
            "must have granted it, agent grant create --own-trees {trees}.",
            trees=spec.own_trees,
        )
    yield from _figure_notes(spec)
    yield from budget_notes(spec, chosen)
    yield from bounds_notes(spec, chosen)
    for categorical in spec.features.categorical if spec.features else ():
        for party, dataset in chosen.items():
            declared = {c.name: c.categories for c in dataset.columns}[categorical.column]
            extra = sorted(set(declared) - set(categorical.categories))
            if extra:
                yield (
                    Text(
                        "{party} declares values of {column} that the job does not list: {extra}.",
                        party=party,
                        column=categorical.column,
                        extra=", ".join(extra[:5]),
                    )
                )


def _scoring_note(spec: TrainingSpec, plan: ContributionPlan) -> str:
    return Text(
        "Scoring contributions measures up to {models} models on {rows} rows in the enclave: "
        "{millions:,} million products, of at most {most:,} million. Each party brings {each} "
        "held-out rows, which leave it under a grant of their own, agent grant create "
        "--validation-rows.",
        models=scored_models(spec, plan),
        rows=plan.rows * len(spec.roster),
        millions=-(-scoring_work(spec, plan) // 10**6),
        most=MAX_WORK // 10**6,
        each=plan.rows,
    )


def extra_notes(families: Iterable[str]) -> Iterator[str]:
    """Yield a note for each family of models that needs an extra at every contributor."""
    for family in dict.fromkeys(families):
        if family in EXTRAS:
            yield Text(
                "{family} needs the extra {extra} at every contributor: an agent without it "
                "refuses the job before it asks anybody.",
                family=family,
                extra=EXTRAS[family].name,
            )


def _figure_notes(spec: TrainingSpec) -> Iterator[str]:
    if spec.wire == "float16":
        yield (
            "float16 ends at 6e-8: smaller changes of a parameter are lost, so that a small "
            "learning rate trains nothing. bfloat16 keeps them."
        )
    if spec.compression is not None and traits_of(spec).masks:
        yield Text(
            "Under masks int8 rounds to steps of {step:g}: smaller changes of a parameter wait "
            "until they add up. Lower quantisation.clip to a little above the largest change.",
            step=spec.quantisation.clip / 2**INT8_BITS,
        )
    if clamped := clamped_steps(spec):
        yield clamped
    if large := unscaled_inputs(spec):
        yield Text(
            "The recipe's inputs are taken as they are, and {columns} may be beyond ±{limit}: "
            "steps of a gradient do not converge on such numbers. Let the preparation end with "
            "standardise or min_max of them.",
            columns=", ".join(large),
            limit=_LARGEST_INPUT,
        )
    if spec.plan.keep is not None:
        yield Text(
            "The reported {metric} is the best of all rounds on the rows that chose it: it "
            "flatters the model.",
            metric=spec.plan.metric or "loss",
        )
    if spec.splits_by_key:
        yield (
            "Rows are held out by the key that each owner declares: all of a person, an account or "
            "a patient, or none, and the same ones in every job with this split."
        )


def unscaled_inputs(spec: TrainingSpec) -> list[str]:
    """Return the inputs of a recipe that are too large for a family that takes gradient steps."""
    steps = spec.model.family not in {*BY_SUMS, TREES}
    if spec.features is None or spec.features.recipe is None or not steps:
        return []
    return [
        one.column
        for one in spec.features.numeric
        if max(map(abs, one.bounds)) > _LARGEST_INPUT and one.scale == "none"
    ]


def _update_bytes(spec: TrainingSpec) -> int:
    """Return the bytes of a party's change of the model; masked ones as they are before."""
    return 4 * spec.update_parameters if traits_of(spec).masks else spec.change_bytes


def _details(spec: TrainingSpec) -> dict[str, Any]:
    return {
        "parties": list(spec.parties),
        "parameters": spec.model_parameters,
        "update_bytes": _update_bytes(spec),
        "quorum": quorum_of(len(spec.roster)),
        "dropouts_tolerated": spare_parties(spec),
        "rounds": spec.plan.rounds,
    }
