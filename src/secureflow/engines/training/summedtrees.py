"""How histograms of trees are checked where they are added up.

They are whole numbers and travel as they are, sealed. Under masks there is differential privacy,
and one ring step is one step of the noise's lattice (`encodings`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.specs.privacy import Privacy
from secureflow.domain.specs.training import TrainingSpec
from secureflow.domain.specs.tree_families import XgboostModel
from secureflow.domain.specs.tree_privacy import row_steps
from secureflow.engines.training.treelayout import layout_of
from secureflow.engines.trees.checking import check_rows
from secureflow.engines.trees.layout import parts_of
from secureflow.engines.trees.private import check_capped


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
        rows: how many it says it has, as they count; a private job's parties do not say.

    Raises:
        SecureFlowError: `update_shape_wrong`, `value_out_of_bounds`.
    """
    layout = layout_of(spec)
    if layout.noised is None:
        check_rows(layout, model, values, rows)
    else:
        check_private_histograms(spec, values, first=not parts_of(layout, model).known)


def check_private_histograms(spec: TrainingSpec, values: NDArray[Any], *, first: bool) -> None:
    """Refuse whole numbers of one party beyond what the declared number of rows adds to a cell.

    Args:
        spec: of a private job.
        values: of the party, without noise.
        first: whether they are the counts of the first round.

    Raises:
        SecureFlowError: `update_shape_wrong`, `value_out_of_bounds`.
    """
    layout = layout_of(spec)
    if layout.noised is None:
        raise AssertionError  # the caller's job has a privacy part
    check_capped(layout, layout.noised, values, known=not first)


def ring_bits(spec: TrainingSpec, privacy: Privacy) -> int:
    """Return q, of 2^q steps that no cell of one party exceeds."""
    steps = row_steps(spec, privacy)
    return (privacy.rows * max(steps.slope, steps.curve, steps.count)).bit_length()
