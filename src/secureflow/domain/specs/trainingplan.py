"""The plan of a training job: rounds, local work, strategy, early stop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from secureflow.domain.specs.base import STRICT, UNLESS_NONE
from secureflow.domain.specs.contribution import ContributionPlan
from secureflow.domain.specs.measured import EarlyStop, Metric
from secureflow.domain.specs.robust import Aggregation
from secureflow.domain.specs.split import KeySplit
from secureflow.domain.specs.strategies import ChosenStrategy


@dataclass(frozen=True)
class TrainingPlan:
    """The schedule: rounds, local work, seed, validation share, early stop.

    `keep: best` releases the model with the best `metric`, not the last one. By default that is the
    one with the lowest federated validation loss.
    `order: public` has each party go through its rows in an order that follows from the plan, as a
    simulation does; by default it follows from the party's secret.

    `draws: words` is in every spec that is drafted today, and was in none of 0.2.0. With it, orders
    are drawn from raw words of a generator, which no version of NumPy changes, and which rows a
    party validates on follows from the party's secret (`engines.preparation.split`), not from
    `seed` alone, which the submitter chooses.

    With `split` the owners' keys say which rows are held out, and neither `seed` nor the file does.

    `strategy` is `fedavg`, or another one of `strategies` by its name, with its parameters.
    `aggregation` is a rule of `robust`, in the place of the weighted mean.
    With `contribution` the enclave scores what each party's updates were worth; with `self_report`
    parties tell what masks hide.
    With `parties_per_round` a round asks so many of the roster, drawn anew (`roundparties`).
    """

    __pydantic_config__ = STRICT
    rounds: Annotated[int, Field(ge=1, le=10_000)] = 20
    local_epochs: Annotated[int, Field(ge=1, le=1000)] = 1
    batch_size: Annotated[int, Field(ge=1, le=1 << 20)] = 64
    learning_rate: Annotated[float, Field(gt=0.0, le=100.0)] = 0.1
    seed: Annotated[int, Field(ge=0, lt=1 << 53)] = 7
    validation: Annotated[float, Field(ge=0.0, le=0.5)] = 0.1
    early_stop: EarlyStop | None = None
    strategy: ChosenStrategy = "fedavg"
    keep: Annotated[Literal["best"] | None, UNLESS_NONE] = None
    order: Annotated[Literal["public"] | None, UNLESS_NONE] = None
    draws: Annotated[Literal["words"] | None, UNLESS_NONE] = None
    split: Annotated[KeySplit | None, UNLESS_NONE] = None
    metric: Annotated[Metric | None, UNLESS_NONE] = None
    aggregation: Annotated[Aggregation | None, UNLESS_NONE] = None
    contribution: Annotated[ContributionPlan | None, UNLESS_NONE] = None
    self_report: Annotated[Literal["rows_and_loss"] | None, UNLESS_NONE] = None
    parties_per_round: Annotated[int | None, UNLESS_NONE, Field(ge=2, le=256)] = None
