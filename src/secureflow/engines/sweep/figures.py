"""Which figures the final evaluation of a training releases: those that can name a best point."""

from __future__ import annotations

import numpy as np

from secureflow.domain.specs.bundle_family import ROWS
from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.training.measures import measure_of


def figures_of(spec: TrainingSpec) -> tuple[str, ...]:
    """Return the names of the figures, the loss first if it is one; () if nothing is measured."""
    privacy = spec.privacy
    measured = spec.plan.validation > 0 if privacy is None else privacy.metrics_noise is not None
    measure = measure_of(spec)
    if not measured or not spec.reads_rows or not measure.count:
        return ()
    # Sums in which every figure is defined: as many rows as sums, one in each cell.
    sums = np.ones(measure.count)
    sums[0] = measure.count
    return tuple(name for name in measure.summarise(sums) if name != ROWS)
