"""What a party keeps moves by what counts of its change, as what is kept for all does."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from secureflow.domain.specs.base import parse
from secureflow.domain.specs.training import TrainingPlan, TrainingSpec
from secureflow.domain.specs.updatelimits import Limits, Quantisation
from secureflow.engines.training.localpart import LocalPart

ZEROS = np.zeros(2, np.float32)


@pytest.mark.parametrize(
    ("protection", "counted"), [("sealed", [0.6, 0.8]), ("secagg", [0.5, 0.5])]
)
def test_a_slope_moves_by_the_change_within_the_caps(protection: Any, counted: list[float]) -> None:
    plan = parse(TrainingPlan, {"strategy": {"name": "feddyn", "alpha": 0.5}}, "training")
    spec = TrainingSpec(
        "", "", "", "", (), plan=plan, limits=Limits(clip_norm=1.0),
        quantisation=Quantisation(clip=0.5),
    )  # fmt: skip
    part = LocalPart(replace(spec, protection=protection), ZEROS, ZEROS, ZEROS)
    change, _, after = part.sent(np.array([3.0, 4.0], np.float32), 10)
    np.testing.assert_array_equal(change, [3.0, 4.0])
    np.testing.assert_allclose(after, -0.5 * np.array(counted), rtol=1e-5)
