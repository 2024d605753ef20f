"""How histograms of trees travel: checked where they are added up, and as masked whole numbers.

One ring step is one step of their fixed point, so that they pass unchanged and their sum is exact;
a party weighs 1. Its rows and the sums of its figures go beside them, in the same ring.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.specs.training import TrainingSpec
from secureflow.domain.specs.tree_families import XgboostModel
from secureflow.engines.secagg import Encoding, MaskingPlan, Metric
from secureflow.engines.secagg.encoding import Contribution, metric_sums
from secureflow.engines.secagg.masks import Ring
from secureflow.engines.training.models import UpdateLayout
from secureflow.engines.training.treelayout import layout_of
from secureflow.engines.trees.checking import check_rows
from secureflow.engines.trees.layout import LIMIT

_BITS: Final = LIMIT.bit_length() - 1


def is_histogram(spec: TrainingSpec, stage: str) -> bool:
    """Tell whether contributions to a stage are histograms of trees."""
    return stage == "train" and isinstance(spec.model, XgboostModel)


def check_histograms(
    spec: TrainingSpec, model: NDArray[np.float32], values: NDArray[Any], rows: int
) -> None:
    """Refuse whole numbers of one party that so many rows do not have.

    Args:
        spec: the job's.
        model: from which the round starts.
        values: of the party.
        rows: how many it says it has, as they count.

    Raises:
        SecureFlowError: `update_shape_wrong`, `value_out_of_bounds`.
    """
    check_rows(layout_of(spec), model, values, rows)


def histogram_encoding(spec: TrainingSpec, layout: UpdateLayout) -> Encoding:
    """Return the encoding of a level's masked sums."""
    rows = float(spec.limits.max_weight)
    figures = (Metric(f"sum_{n}", layout.per_row * rows) for n in range(1, layout.sums))
    metrics = (Metric("rows", rows), *figures)
    return Encoding(layout.parameters, float(LIMIT), _BITS, 1, metrics)


def histogram_parts(
    plan: MaskingPlan, values: NDArray[Any], sums: NDArray[np.float64]
) -> Contribution:
    """Return a party's histograms and sums in the form that a client masks."""
    names = (metric.name for metric in plan.encoding.metrics)
    figures = dict(zip(names, sums.tolist(), strict=True))
    return Contribution(values.astype(np.float64), 1, figures, None)


def histogram_sums(plan: MaskingPlan, total: Ring) -> list[float]:
    """Return a release's sums: all rows, then the sums of the figures."""
    rows, *figures = metric_sums(plan.encoding, total)
    return [float(round(rows)), *figures]
