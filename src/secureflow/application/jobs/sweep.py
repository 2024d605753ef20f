"""From a request to sweep to a spec that lists every point: expanded, priced and checked here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Final, Literal

from secureflow.application.jobs.kind import Drafted, Wanted
from secureflow.application.jobs.pricing import CEILING, epsilon_notes
from secureflow.application.jobs.rosters import contributors_floor
from secureflow.application.jobs.scoredmodels import label_notes
from secureflow.application.jobs.training import TRAINING_JOBS
from secureflow.application.ports.accountant import Accountant
from secureflow.application.ports.artifacts import Artifacts
from secureflow.application.ports.storage import UnitOfWork
from secureflow.domain.specs.base import SpecBase, contradiction, dump, parse, spec_digest
from secureflow.domain.specs.measured import HIGHER, METRICS
from secureflow.domain.specs.privacy import Privacy
from secureflow.domain.specs.sweep import (
    SweepMetric,
    SweepSpec,
    check_points,
    check_sweep,
    with_settings,
)
from secureflow.domain.specs.sweep_request import SweepPart, points_of
from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.run.kind import EngineKind
from secureflow.engines.sweep.kind import SWEEP_ENGINE
from secureflow.engines.training.kind import TRAINING_ENGINE
from secureflow.kit.canonical import JSON, canonical_bytes
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

if TYPE_CHECKING:  # NumPy is loaded with the first price
    from secureflow.engines.privacy.accounting import Charge

MOST_QUOTES: Final = 16
"""Most different costs of one sweep: the accountant takes about a second for each."""

_SHARED: Final = tuple(one.name for one in fields(SpecBase))
"""What a sweep and its training have in common."""


@dataclass(frozen=True)
class SweepPrice:
    """A sweep's cost.

    Args:
        points: with the multiplier of each that is not the training's own.
        privacy: the training's part, with its multiplier.
        answer: the accountant's: `epsilon` of all points together by conversion, `quotes`, and for
            each point which of them is its own (`points`).
        releases: noised models of all points together.
        charge: what was priced, which the spec must cost.
    """

    points: tuple[dict[str, Any], ...]
    privacy: Mapping[str, JSON]
    answer: Mapping[str, JSON]
    releases: int
    charge: Charge

    def facts(self) -> dict[str, JSON]:
        """Return what people are told before anything runs."""
        told = ("unit", "mechanism", "noise", "sampling", "metrics_noise", "delta")
        same = not any("privacy.noise_multiplier" in point for point in self.points)
        return {
            **{name: self.privacy[name] for name in told},
            "noise_multiplier": self.privacy["noise_multiplier"] if same else None,
            "releases": self.releases,
            "epsilon": dict(self.answer["epsilon"]),
            "budget_conversion": "rdp-filter",
        }


class SweepJobs:
    """`application.jobs.kind.JobKind`."""

    engine: Final[EngineKind] = SWEEP_ENGINE

    def sum_handler(self, artifacts: Artifacts) -> None:
        """Return None: sums are those of its jobs."""
        del artifacts

    async def draft(
        self, work: UnitOfWork, wanted: Wanted, submitter: str, now: int, priced: SweepPrice | None
    ) -> Drafted:
        """Draft the training, list the points, and check the training at each of them.

        Raises:
            SecureFlowError: those of a training's draft; `contradictory_spec` naming a point.
        """
        part, parts = _asked(wanted)
        points = _points(part, parts) if priced is None else priced.points
        if priced is not None:
            parts["privacy"] = dict(priced.privacy)
        alone = replace(wanted, kind=TRAINING_ENGINE.spec.name, parts=parts)
        drafted = await TRAINING_JOBS.draft(work, alone, submitter, now, None)
        training = dump(drafted.spec)
        spec = parse(
            SweepSpec,
            {
                **{name: training[name] for name in _SHARED if name in training},
                "training": training,
                "points": points,
                "stop_on_failure": part.stop_on_failure,
                "limits": {"patience_seconds": training["limits"]["patience_seconds"]},
                "privacy": _privacy(part, training["privacy"]),
            },
        )
        check_sweep(spec)
        chosen = part.metric or (parts.get("plan") or {}).get("metric")  # of the rounds, too
        spec = replace(spec, metric=_metric(part, spec.trainings, chosen))
        details = {**drafted.details, **_details(spec)}
        of_folds = await label_notes(work, spec.trainings)  # the first may be the only one unseen
        notes = (*dict.fromkeys((*drafted.notes, *of_folds)), *_notes(spec))
        if priced is not None:
            if SWEEP_ENGINE.charge(spec) != priced.charge:
                raise AssertionError(spec.name)  # people would be told another cost
            details["privacy"] = priced.facts()
            notes += tuple(epsilon_notes(priced.answer["epsilon"]))
        digest = spec_digest(spec)
        return replace(drafted, spec=spec, digest=digest, details=details, notes=notes)

    async def price(
        self, wanted: Wanted, accountant: Accountant, draft: Callable[[], Awaitable[Drafted]]
    ) -> SweepPrice | None:
        """Return the cost of all points together; None without differential privacy.

        Raises:
            SecureFlowError: `contradictory_spec` when it is more than the sweep's own ceiling, for
                a point that costs more than its own, and for more than `MOST_QUOTES` costs.
        """
        part, parts = _asked(wanted)
        if not isinstance(parts.get("privacy"), Mapping):
            return None
        points = _points(part, parts)
        changed = [with_settings(parts, point) for point in points]
        keys = [_costing(one) for one in changed]
        different = {key: changed[at] for at, key in reversed(list(enumerate(keys)))}
        if len(different) > MOST_QUOTES:
            raise contradiction(
                "sweep",
                Text("its points have {count} different costs, and may have {most}",
                     count=len(different), most=MOST_QUOTES),
                "Sweep over fewer rounds or fewer amounts of noise.",
            )  # fmt: skip
        found = {}
        for key, one in different.items():
            alone = replace(wanted, kind=TRAINING_ENGINE.spec.name, parts=one)
            quote = await TRAINING_JOBS.price(alone, accountant, draft)
            if quote is None:
                return None  # a part that does not parse is left to the spec's own checks
            found[key] = quote
        quotes = [found[key] for key in keys]
        if (own := _common(parts, quotes)) is None:
            return None
        return await _together(part, own, points, quotes, accountant)


SWEEP_JOBS: Final = SweepJobs()


def _asked(wanted: Wanted) -> tuple[SweepPart, dict[str, Any]]:
    """Return which points are asked for, and the parts of the training.

    Without differential privacy every sum is over all parties, as the spec demands.
    """
    parts = dict(wanted.parts)
    part = parse(SweepPart, parts.pop("sweep", None), "spec")
    if parts.get("privacy") is None:
        contributors = [*wanted.datasets, *parts.get("parties", ())]
        parts |= contributors_floor(contributors, parts, everybody=True)
    return part, parts if part.folds is None else {**parts, "plan": _in_folds(part.folds, parts)}


def _points(part: SweepPart, parts: Mapping[str, Any]) -> tuple[dict[str, Any], ...]:
    """Return the points, checked before the training, which without a price would be refused first.

    Raises:
        SecureFlowError: `contradictory_spec` for no points, or naming one and its field.
    """
    points = points_of(part)
    check_points(parts, points)
    return points


def _in_folds(folds: int, parts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the plan of a cross-validation: so many folds, whatever of it holds one out.

    Raises:
        SecureFlowError: `contradictory_spec`.
    """
    plan = parts.get("plan") or {}
    split = plan.get("split") if isinstance(plan, Mapping) else None
    if not isinstance(split, Mapping):
        hint = "Write in the job file: plan: {split: {by: key}}."
        raise contradiction("sweep.folds", "the plan does not split the rows by a key", hint)
    if split.get("folds") not in (None, folds):
        reason = Text("the plan has {count} folds", count=split["folds"])
        raise contradiction("sweep.folds", reason, "Name all of them, or leave plan.split.folds.")
    return {**plan, "split": {**split, "folds": folds, "fold": 0}}


def _costing(parts: Mapping[str, Any]) -> bytes:
    """Return what decides the cost of a point: its privacy part, and its rounds."""
    plan = parts.get("plan")
    rounds = plan.get("rounds") if isinstance(plan, Mapping) else None
    return canonical_bytes({"privacy": parts.get("privacy"), "rounds": rounds})


def _common(parts: Mapping[str, Any], quotes: Sequence[Any]) -> Privacy | None:
    """Return the training's own privacy part, to which each point adds what it sets itself.

    Where it names no multiplier, it has the first point's; of the others only its own are listed.
    None if it does not parse.
    """
    try:
        own = parse(Privacy, parts["privacy"])
    except SecureFlowError:
        return None
    if own.noise_multiplier is not None:
        return own
    return replace(own, noise_multiplier=quotes[0].privacy.noise_multiplier)


async def _together(
    part: SweepPart,
    own: Privacy,
    points: Sequence[Mapping[str, Any]],
    quotes: Sequence[Any],
    accountant: Accountant,
) -> SweepPrice:
    from secureflow.engines.training.private import charge_of

    charge = tuple(one for quote in quotes for one in charge_of(quote.privacy, quote.rounds))
    total = await accountant.fit([one.as_json() for one in charge], own.delta)
    cost = float(total["epsilon"][CEILING])
    if part.epsilon is not None and cost > part.epsilon:
        raise contradiction(
            "sweep.epsilon",
            Text("the points cost ε = {cost:.4g} ({ceiling}) together, more than {most:g}",
                 cost=cost, ceiling=CEILING, most=part.epsilon),
            "Leave points out, raise the noise, or raise the ceiling.",
        )  # fmt: skip
    noised = tuple(
        {**point, "privacy.noise_multiplier": quote.privacy.noise_multiplier}
        if quote.privacy.noise_multiplier != own.noise_multiplier
        else dict(point)
        for point, quote in zip(points, quotes, strict=True)
    )
    different = list({canonical_bytes(quote.answer): quote.answer for quote in quotes}.values())
    places = [different.index(quote.answer) for quote in quotes]
    answer = {"epsilon": total["epsilon"], "quotes": different, "points": places}
    releases = sum(quote.rounds * quote.privacy.local_steps for quote in quotes)
    return SweepPrice(noised, dump(own), answer, releases, charge)


def _privacy(part: SweepPart, training: Mapping[str, JSON] | None) -> dict[str, JSON] | None:
    if training is None:
        return None
    common = {name: training[name] for name in ("delta", "unit", "noise")}
    return {**common, "epsilon": part.epsilon}


def _metric(
    part: SweepPart, trainings: Sequence[TrainingSpec], chosen: str | None
) -> SweepMetric | None:
    """Return the figure that says which point is the best; None if none is measured.

    `chosen` is the one that the request names, if any.

    Raises:
        SecureFlowError: `contradictory_spec` for a figure that the trainings do not have.
    """
    from secureflow.engines.sweep.figures import figures_of

    measured = [figures_of(one) for one in trainings]
    common = [name for name in measured[0] if all(name in one for one in measured)]
    name = chosen or next(iter(common), None)
    if name is None:
        return None
    if name not in common:
        listed = ", ".join(common)
        raise contradiction(
            "sweep.metric",
            Text("the trainings release {names}, not {name}", names=listed, name=name)
            if common
            else "the trainings release no figure of their models",
            "Take one of these. A training measures with plan.validation, under differential "
            "privacy with privacy.metrics_noise.",
        )
    better = part.better or _known_better(name)
    if better is None:
        hint = "Write better: higher, or better: lower."
        raise contradiction("sweep.better", "nobody knows which values are better", hint)
    return SweepMetric(name, better)


def _known_better(name: str) -> Literal["higher", "lower"] | None:
    if name not in METRICS:
        return None
    return "higher" if name in HIGHER else "lower"


def _notes(spec: SweepSpec) -> Iterator[str]:
    from secureflow.engines.sweep.disclosure import choosing

    yield Text(
        "One approval covers {count} jobs with {rounds} rounds in all; they run one after the "
        "other.",
        count=len(spec.points),
        rounds=spec.planned_rounds,
    )
    if spec.metric is None:
        yield "No figure of the models is released, so no point is called the best."
    else:
        yield choosing(spec)


def _details(spec: SweepSpec) -> dict[str, Any]:
    from secureflow.engines.sweep.settings import sets_of

    points = [
        {"point": number, "sets": sets_of(spec, number), "rounds": training.planned_rounds}
        for number, training in enumerate(spec.trainings, 1)
    ]
    metric = spec.metric and f"{spec.metric.name} ({spec.metric.better})"
    return {"rounds": spec.planned_rounds, "metric": metric, "points": points}
