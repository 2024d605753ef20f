"""Strategies: how the next state follows from a round's release, one module for each.

Enclave, aggregator and agents share this code. `domain.specs.strategies` has the parameters of
each, with their ranges. A new one is a module here, a line in `STRATEGIES`, and its parameters
there (docs/extending.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from secureflow.domain.specs.strategies import name_of
from secureflow.domain.specs.training import TrainingSpec
from secureflow.domain.specs.tree_families import XgboostModel
from secureflow.engines.training.strategies.fedadagrad import Adagrad
from secureflow.engines.training.strategies.fedadam import Adam
from secureflow.engines.training.strategies.fedavg import FedAvg
from secureflow.engines.training.strategies.fedavgm import Momentum
from secureflow.engines.training.strategies.fedbn import LocalNorms
from secureflow.engines.training.strategies.feddyn import Dynamic
from secureflow.engines.training.strategies.fednova import Normalised
from secureflow.engines.training.strategies.fedyogi import Yogi
from secureflow.engines.training.strategies.scaffold import Controlled
from secureflow.engines.training.strategies.strategy import Blocks, Strategy, Target
from secureflow.engines.training.treelayout import layout_of
from secureflow.engines.trees.growing import next_model

__all__ = ["STRATEGIES", "Blocks", "Strategy", "Target", "next_state"]

STRATEGIES: Final[Mapping[str, Strategy]] = {
    "fedavg": FedAvg(),
    "fedavgm": Momentum(),
    "fedadam": Adam(),
    "fedyogi": Yogi(),
    "fedadagrad": Adagrad(),
    "fedprox": FedAvg(),
    "feddyn": Dynamic(),
    "scaffold": Controlled(),
    "fednova": Normalised(),
    "fedbn": LocalNorms(),
    "finetune": FedAvg(),
}


def strategy_of(spec: TrainingSpec) -> Strategy:
    """Return the strategy of a job's plan."""
    return STRATEGIES[name_of(spec.plan.strategy)]


def next_state(spec: TrainingSpec, state: Blocks, release: Blocks, target: Target) -> None:
    """Write the next state after a release, by the strategy of the job's plan; see `Strategy`.

    Trees are grown: their release is the sum of a round, int64.
    """
    if isinstance(spec.model, XgboostModel):
        whole = slice(None)
        before = np.asarray(state[whole], np.float32)
        target[whole] = next_model(layout_of(spec), before, np.asarray(release[whole], np.int64))
        return
    strategy_of(spec).next_state(spec, state, release, target)
