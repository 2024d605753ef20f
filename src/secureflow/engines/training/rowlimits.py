"""What a prepared row can be: the numbers that preparation can make of cells within the spec.

Numbers are clamped to the declared bounds and then scaled, a missing one is 0, and of a category at
most one indicator is 1 (`engines.preparation.design`). Whoever checks rows that another process
prepared holds them to this, so that no crafted row weighs more than one that could be trained on.
"""

from __future__ import annotations

import numpy as np

from secureflow.domain.specs.targets import ClassesLabel, Label, NumberLabel
from secureflow.domain.specs.training import FeatureSpec
from secureflow.engines.contribution.sealedrows import RowLimits
from secureflow.engines.preparation import Moments


def row_limits(features: FeatureSpec, moments: Moments) -> RowLimits:
    """Return the limits of a job's rows, each its inputs and then its label.

    Args:
        features: numbers and categories only.
        moments: by which numbers are scaled.
    """
    low, high = np.zeros(features.width + 1), np.ones(features.width + 1)
    for at, feature in enumerate(features.numeric):
        ends = (np.array(feature.bounds) - moments.mean[at]) / moments.std[at]
        low[at], high[at] = min(ends[0], 0.0), max(ends[1], 0.0)
    groups, start = [], len(features.numeric)
    for categorical in features.categorical:
        marked = categorical.missing == "indicator"
        width = len(categorical.categories) + marked
        groups.append((start, start + width, marked))
        start += width
    classes = _classes(features.label)
    if classes is None:
        low[-1] = -1.0
    else:
        high[-1] = classes - 1
    return RowLimits(low, high, tuple(groups), classes)


def _classes(label: Label | ClassesLabel | NumberLabel | None) -> int | None:
    """Return how many classes a label names; None for a number, which is scaled to −1 to 1."""
    if isinstance(label, Label):
        return 2
    return len(label.classes) if isinstance(label, ClassesLabel) else None
