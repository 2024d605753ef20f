"""The figures by which rounds are compared: which ones a job has, and which way is better.

| target  | figures                                                                  |
|---------|--------------------------------------------------------------------------|
| binary  | loss, accuracy, auc                                                      |
| classes | loss, accuracy, balanced_accuracy; macro_f1 of up to `MAX_CELLS` classes |
| number  | loss, mse, rmse, mae, r2                                                 |
| none    | loss, of clusters                                                        |
| code    | those of these names among the sums that it declares                     |

All of them follow from the sums of all parties (`engines.training.measures`), so that a party and
the whole federation choose by the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final, Literal, get_args

from pydantic import Field

from secureflow.domain.specs.base import STRICT

Metric = Literal[
    "loss", "accuracy", "balanced_accuracy", "auc", "macro_f1", "mse", "rmse", "mae", "r2"
]
METRICS: Final[tuple[Metric, ...]] = get_args(Metric)
HIGHER: Final[frozenset[Metric]] = frozenset(
    {"accuracy", "balanced_accuracy", "auc", "macro_f1", "r2"}
)
"""The figures of which more is better; of the others less is."""
MAX_CELLS: Final = 32
"""Most classes of which every pair (class, predicted) is counted."""


@dataclass(frozen=True)
class EarlyStop:
    """Stop after `patience` rounds whose figure is not better than the best by `min_delta`.

    The figure is the plan's `metric`, over all parties' validation rows; by default the loss.
    """

    __pydantic_config__ = STRICT
    patience: Annotated[int, Field(ge=1, le=1000)] = 3
    min_delta: Annotated[float, Field(ge=0.0, le=10.0)] = 1e-4
