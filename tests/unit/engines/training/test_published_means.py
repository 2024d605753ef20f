"""Which published mean an agent applies: one that contributors within the spec's caps can have."""

from __future__ import annotations

import numpy as np
import pytest

from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.training.encodings import NORM_TOLERANCE, check_mean
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError

from .world import make_spec

WIDTH = 100_000  # more than one block of the sum


@pytest.fixture
def spec() -> TrainingSpec:
    keys = {name: SigningKey.from_seed(name.ljust(32).encode()) for name in ("a", "b", "c")}
    return make_spec(keys, limits={"clip_norm": 10.0}, quantisation={"clip": 4.0})


def spread(norm: float) -> np.ndarray:
    """Return a vector of this norm, the same in each coordinate."""
    return np.full(WIDTH, norm / np.sqrt(WIDTH), np.float32)


def spike(value: float, at: int = WIDTH - 1) -> np.ndarray:
    vector = np.zeros(WIDTH, np.float32)
    vector[at] = value
    return vector


@pytest.mark.parametrize(
    "mean",
    [spread(0.0), spread(10.0), spike(4.0), spike(-4.0), spread(10 * (1 + NORM_TOLERANCE / 2))],
)
def test_within_the_caps(spec: TrainingSpec, mean: np.ndarray) -> None:
    check_mean(spec, mean)


@pytest.mark.parametrize(
    "mean",
    [
        spread(10.1),  # each coordinate is small
        spike(4.1),  # the norm is small
        spike(-4.1, at=0),
        spike(float("nan")),
        spike(float("inf")),
        spread(float("-inf")),
    ],
)
def test_beyond_one_of_them(spec: TrainingSpec, mean: np.ndarray) -> None:
    with pytest.raises(SecureFlowError) as refused:
        check_mean(spec, mean)
    assert refused.value.code == "model_inconsistent"
