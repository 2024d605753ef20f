"""The sizes of a job's trees, from its spec."""

from __future__ import annotations

import math

import numpy as np

from secureflow.domain.specs.targets import NumberLabel
from secureflow.domain.specs.training import TrainingSpec
from secureflow.domain.specs.tree_families import XgboostModel
from secureflow.domain.specs.tree_privacy import rounded_values, row_steps
from secureflow.engines.privacy.gaussian import support
from secureflow.engines.trees.layout import Layout, Noised


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
    trees, rate = spec.plan.rounds * model.each(len(spec.roster)), spec.plan.learning_rate
    gaps = tuple(one.missing == "kept" for one in features.numeric)
    return Layout(
        model, trees, numbers, indicators, bounds, rate, start, squared, gaps, _noised(spec)
    )


def _noised(spec: TrainingSpec) -> Noised | None:
    privacy, parties = spec.privacy, len(spec.roster)
    if privacy is None:
        return None
    # Of shared noise all parties' together; where the enclave draws it, it is one.
    drawn = parties if privacy.noise == "shared" else 1
    own = privacy.sigma(rounded_values(spec)) * privacy.share(parties)
    return Noised(
        row_steps(spec, privacy),
        privacy.rows,
        parties,
        own * math.sqrt(drawn),
        drawn * support(own),
    )
