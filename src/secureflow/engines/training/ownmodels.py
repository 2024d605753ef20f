"""The models that parties end with for themselves: how they are measured, and what is told of it.

In the stage `evaluate` each party makes its own model of the last one (`own_model`), and measures
both on its held-out rows. What it sends is, one after the other:

| sums                  | of                                                             |
|-----------------------|----------------------------------------------------------------|
| weight, metric sums   | the model that everybody has, as in every job                  |
| metric sums           | the party's own model, on the same rows                        |
| 1 or 0, 1 or 0        | whether the own one has the better figure, or the worse one    |

They are added up over the parties as the others are, sealed or masked: who gained is told of no
party, and how many did is. A party sees its own figures at its own agent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.specs.strategies import PLAIN, FineTune
from secureflow.domain.specs.training import TrainingPlan, TrainingSpec
from secureflow.engines.training.measures import measure_of
from secureflow.engines.training.schedule import badness
from secureflow.kit.canonical import JSON

COUNTS: Final = 2
"""How many sums count parties: those that gained, and those that lost."""
TITLE: Final = "Parties' own models, on their own held-out rows: the shared model, then their own"
GAINED: Final = "parties whose own model is better"
LOST: Final = "parties whose own model is worse"

_Sums = NDArray[np.float64]


def tuning(spec: TrainingSpec) -> TrainingPlan | None:
    """Return the plan of the passes that a party adds for itself; None without any."""
    chosen = spec.plan.strategy
    if not isinstance(chosen, FineTune):
        return None
    return replace(
        spec.plan,
        strategy=PLAIN,
        local_epochs=chosen.epochs,
        learning_rate=chosen.learning_rate,
    )


def compared(spec: TrainingSpec, shared: _Sums, own: _Sums) -> _Sums:
    """Return whether a party gained, and whether it lost: float64 (COUNTS,), each 1 or 0.

    The figure is the plan's metric, by default the loss. Without held-out rows neither is so.
    """
    measure, metric = measure_of(spec), spec.plan.metric or "loss"
    before, after = (badness(measure.summarise(one), metric) for one in (shared, own))
    if before is None or after is None:
        return np.zeros(COUNTS)
    return np.array([after < before, after > before], np.float64)


def shared_sums(spec: TrainingSpec, sums: Sequence[float]) -> list[float]:
    """Return of a release's sums those of the model that everybody has: weight, then metrics."""
    return list(sums[: 1 + measure_of(spec).count] if spec.own_models else sums)


def own_sums(spec: TrainingSpec, sums: Sequence[float]) -> _Sums:
    """Return of an evaluation's sums the metrics of own models, float64 (m,)."""
    count = measure_of(spec).count
    return np.asarray(sums[1 + count : 1 + 2 * count], np.float64)


def counted(sums: Sequence[float], parties: int) -> tuple[int, int]:
    """Return how many of the parties that were measured gained, and how many lost.

    A masked sum is rounded a little, and a party that lies counts for more than one.
    """
    gained, lost = (round(min(max(0.0, one), parties)) for one in sums[-COUNTS:])
    return gained, lost


def own_section(
    shared: dict[str, float], own: dict[str, float], gained: int, lost: int
) -> dict[str, JSON]:
    """Return the section of a report."""
    rows: list[dict[str, JSON]] = [
        {"label": name, "value": [shared.get(name), value]}
        for name, value in own.items()
        if name != "rows"
    ]
    rows += [{"label": GAINED, "value": gained}, {"label": LOST, "value": lost}]
    return {"title": TITLE, "rows": rows}
