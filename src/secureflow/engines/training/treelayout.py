"""The sizes of a job's trees, from its spec."""

from __future__ import annotations

import numpy as np

from secureflow.domain.specs.targets import NumberLabel
from secureflow.domain.specs.training import TrainingSpec
from secureflow.domain.specs.tree_families import XgboostModel
from secureflow.engines.trees.layout import Layout


def layout_of(spec: TrainingSpec) -> Layout:
    """Return the layout of a job of this family."""
    model, features = spec.model, spec.features
    if not isinstance(model, XgboostModel) or features is None:
        raise AssertionError(spec.model.family)  # the caller chose by the family
    numbers, indicators = spec.inputs_of_trees
    bounds = tuple((-1.0, 1.0) if one.scale == "bounds" else one.bounds for one in features.numeric)
    label = features.label
    squared = isinstance(label, NumberLabel)
    if isinstance(label, NumberLabel):
        asked = label.middle if model.base_score is None else model.base_score
        start = (asked - label.middle) / label.half
    else:
        chance = 0.5 if model.base_score is None else model.base_score
        start = float(np.log(chance / (1.0 - chance)))
    rounds, rate = spec.plan.rounds, spec.plan.learning_rate
    gaps = tuple(one.missing == "kept" for one in features.numeric)
    return Layout(model, rounds, numbers, indicators, bounds, rate, start, squared, gaps)
