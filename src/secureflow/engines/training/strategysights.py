"""What a job's strategy or robust rule lets people see beyond the mean of all updates."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from secureflow.domain.specs.protections import traits_of
from secureflow.domain.specs.robust import Krum, Median, TrimmedMean
from secureflow.domain.specs.strategies import FedBn, FedNova, Scaffold
from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.run.explaining import Row
from secureflow.kit.text import Text

_FEW: Final = 2
"""Of so many values a mean hides little."""
_SECOND: Final = (
    "the control variates are the second: who knows row counts and all updates but two "
    "can compute these two"
)
_OWN: Final = (
    "the sums of the figures of the parties' own models, and how many parties have a better or a "
    "worse one than the shared model"
)
_BEGUN: Final = "no normalisation layer of any party: in it they are as they began"
_SOLVED: Final = (
    "how many rows each party has, and where the model hardly moves from round to round close to "
    "what each party's update and figures are"
)
_EQUATIONS: Final = (
    "rounds ask other parties each time, and from sums over enough different sets follow the parts"
)
_STEPS: Final = (
    "the strategy needs it; with the total row count it may tell the row counts of few parties"
)


def strategy_sights(spec: TrainingSpec) -> Iterator[Row]:
    """Yield what the plan's strategy and rule show, to whom, and why."""
    if spec.plan.parties_per_round is not None:
        drawn = Text(
            "which {asked} of {count} parties each round asks, before it begins",
            asked=spec.plan.parties_per_round,
            count=len(spec.roster),
        )
        yield "everybody", drawn, "the draw follows from the signed spec and the round's number"
        yield "whoever has the rounds' sums", _SOLVED, _EQUATIONS
    rounds, rule = "whoever has two rounds' models", spec.plan.aggregation
    if rule is not None:
        yield (
            "enclave",
            "single updates, sealed again on its disk until the round is released",
            "the rule reads them several times",
        )
    if isinstance(rule, Krum) and rule.select == 1:
        yield rounds, "the whole update of one party", "the rule releases the one that it selects"
    elif isinstance(rule, Krum):
        mean = Text("the mean of {count} updates, not of all", count=rule.select)
        yield rounds, mean, "the rule releases the mean of those that it selects"
    elif _keeps_few(spec):
        yield (
            rounds,
            "of each number of the update one party's value, or the mean of two",
            "the rule leaves out the others; whose it is is not told",
        )
    if _separable(spec):
        yield (
            rounds,
            "two sums of each round's updates that weigh parties differently",
            _SECOND,
        )
    if spec.own_models:
        yield "whoever has the report", _OWN, "the parties' own models are measured, and stay there"
    if isinstance(spec.plan.strategy, FedBn):
        yield "whoever has the model", _BEGUN, "normalisation layers are each party's own"
    if isinstance(spec.plan.strategy, FedNova) and traits_of(spec).masks:
        yield (
            "whoever has the published sums",
            "the mean number of local steps, weighted by rows",
            _STEPS,
        )


def selects_one(spec: TrainingSpec) -> bool:
    """Tell whether a round releases one party's update as it is."""
    rule = spec.plan.aggregation
    return bool(spec.own_trees) or (isinstance(rule, Krum) and rule.select == 1)


def single_update(spec: TrainingSpec, *, seen: bool) -> tuple[str, str] | None:
    """Return how far single updates stay hidden, and why, if what is released decides that.

    Args:
        spec: the job's.
        seen: whether the operator may see single updates whatever is released.
    """
    if spec.own_trees:
        return "no", "the model is made of single parties' trees, as they are"
    if selects_one(spec) and spec.privacy is None:
        return "no", "the rule releases the one that it selects"
    if selects_one(spec):
        return "partly", "the rule releases the one that it selects, with its party's own noise"
    if spec.plan.parties_per_round is not None and not seen:
        return "partly", "rounds ask other parties each time: their sums can be subtracted"
    if _separable(spec) and not seen:
        return "partly", "two sums are released: with all updates but two it can"
    return None


def _separable(spec: TrainingSpec) -> bool:
    """Tell whether a round releases two sums of the same updates with other weights.

    SCAFFOLD's are Σ pᵢ·Δᵢ, and with the control variates Σ pᵢ·Δᵢ / Kᵢ with each party's number of
    steps Kᵢ: two equations, so that they hide one update less than one sum does.
    """
    return isinstance(spec.plan.strategy, Scaffold)


def _keeps_few(spec: TrainingSpec) -> bool:
    rule = spec.plan.aggregation
    if isinstance(rule, TrimmedMean):
        return spec.min_contributors - 2 * rule.trim <= _FEW
    return isinstance(rule, Median)
