"""Trees under differential privacy: how much one row adds to a round's sums, and what is refused.

A row adds its gradient g and its second derivative h to one cell of each number and of each column
of categories that it has a value in, and once to its node's total (`engines.trees.private`). So it
moves a level's sums by at most √k · √(g² + h²) in L2, of k such places: nodes of a level have other
rows (parallel composition), levels and trees have the same ones (each is charged). To the counts of
round 1 it adds 1 in one cell of each number: √numbers.

| loss     | largest g                                                           | largest h |
|----------|---------------------------------------------------------------------|-----------|
| logistic | `privacy.clipping_norm`, at most 1                                   | ¼         |
| squared  | `privacy.clipping_norm`, in half-widths of the label's bounds        | 1         |

`privacy.bits`: 2^bits steps of the lattice hold that length. Each row is rounded by itself, to
whole steps, so that nothing is added for rounding: σ = z · 2^bits steps, in every round.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Final

from secureflow.domain.specs.base import Problem
from secureflow.domain.specs.privacy import Privacy
from secureflow.domain.specs.targets import NumberLabel
from secureflow.domain.specs.training import TrainingSpec
from secureflow.domain.specs.tree_families import RowSteps, XgboostModel
from secureflow.kit.text import Text

LEAST_STEPS: Final = 16
"""Steps that a gradient of 1 has at least: fewer would round second derivatives away."""
MOST_BITS: Final = 16
"""The most `privacy.bits`."""
MAX_BITS: Final = 48
"""A cell of a party is below 2^48 steps, so that sums of all and their noise are whole floats."""


def rounded_values(spec: TrainingSpec) -> int:
    """Return how many values of a private update are rounded after rows were added up.

    Each row of trees is rounded by itself.
    """
    return 0 if isinstance(spec.model, XgboostModel) else spec.model_parameters


def places(spec: TrainingSpec) -> int:
    """Return to how many cells of a level one row adds its derivatives."""
    features = spec.features
    if features is None:
        raise AssertionError  # the caller checked the spec
    categorical = len(features.categorical)
    return len(features.numeric) + categorical + bool(categorical)


def row_steps(spec: TrainingSpec, privacy: Privacy) -> RowSteps:
    """Return what one row adds at most; all of its places together are within 2^bits steps."""
    squared = spec.features is not None and isinstance(spec.features.label, NumberLabel)
    numbers = max(1, spec.inputs_of_trees[0])
    slope = privacy.clipping_norm if squared else min(privacy.clipping_norm, 1.0)
    curve = 1.0 if squared else 0.25
    longest = math.sqrt(places(spec)) * math.hypot(slope, curve)
    unit = 4 * int(2.0**privacy.bits / longest / 4)
    return RowSteps(
        unit, int(slope * unit), int(curve * unit), int(2.0**privacy.bits / math.sqrt(numbers))
    )


def private_trees_problem(spec: TrainingSpec, *, masks: bool) -> Problem | None:
    """Return why trees cannot be grown under a spec's privacy part, or without one; or None."""
    privacy = spec.privacy
    if privacy is None:
        return _masked() if masks else None
    if privacy.unit == "party":
        reason: str = Text(
            "nothing bounds what a whole party adds to the sums of {family}",
            family=spec.model.family,
        )
        hint = "Write `privacy: {unit: record, mechanism: dp-sgd}`."
        return "privacy.unit", reason, hint
    if privacy.local_steps > 1 or privacy.sampling < 1.0:
        reason = Text("{family} adds up every record once", family=spec.model.family)
        return "privacy.sampling", reason, "Write `privacy: {sampling: 1, local_steps: 1}`."
    noise = "shared" if masks else "enclave"
    if privacy.noise != noise:
        reason = Text("{family} is grown from sums over all parties, noised once",
                      family=spec.model.family)  # fmt: skip
        return "privacy.noise", reason, Text("Write `privacy: {{noise: {noise}}}`.", noise=noise)
    return _lattice(spec, privacy)


def _masked() -> Problem:
    reason = (
        "under masks the sums of every level are opened, and the difference of two shows rows "
        "of a party that missed one, or of a node that was closed"
    )
    hint = 'Noise them: `privacy: {noise: shared, epsilon: 4}`; or use protection "sealed".'
    return "privacy", reason, hint


def _lattice(spec: TrainingSpec, privacy: Privacy) -> Problem | None:
    found = row_steps(spec, privacy)
    if min(found.unit, found.count) < LEAST_STEPS:
        return _too_few(spec, privacy)
    if found.slope < LEAST_STEPS:
        reason: str = Text("a gradient has fewer than {least} steps", least=LEAST_STEPS)
        return "privacy.clipping_norm", reason, "Write `privacy: {clipping_norm: 1}`."
    if privacy.rows.bit_length() + privacy.bits > MAX_BITS:
        reason = Text(
            "sums of {rows} records could exceed 2^{most} steps", rows=privacy.rows, most=MAX_BITS
        )
        return "privacy.bits", reason, "Lower it, or privacy.rows."
    return None


def _too_few(spec: TrainingSpec, privacy: Privacy) -> Problem:
    reason = Text(
        "a row of {count} columns has fewer than {least} steps in each",
        count=places(spec),
        least=LEAST_STEPS,
    )
    for bits in range(privacy.bits + 1, MOST_BITS + 1):
        found = row_steps(spec, replace(privacy, bits=bits))
        if min(found.unit, found.count) >= LEAST_STEPS:
            hint = Text("Write `privacy: {{bits: {bits}}}`, or use fewer columns.", bits=bits)
            return "privacy.bits", reason, hint
    return "privacy.clipping_norm", reason, "Write `privacy: {clipping_norm: 1}`."
