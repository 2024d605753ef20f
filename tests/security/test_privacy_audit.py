"""An empirical audit of whole jobs: what a canary shows stays below the accounted ε.

A noise that is off, or half of what is charged, is found by the same audit: a bound that nothing
could exceed would prove nothing. Seeds are fixed, so each figure here is the same in every run.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from peers.canaries import DIRECTION, columns, job_spec, measured

from secureflow.adapters.frameworks.numpy_runner import NumpyRunner
from secureflow.engines.privacy import epsilon, gaussian
from secureflow.engines.training.private import charge

DELTA = 1e-2
"""As large as a spec may have it: tails that nobody can measure do not blur the comparison."""
PLACEMENTS = ("enclave", "shared", "local")
MEASURED = [
    "shared",
    pytest.param("enclave", marks=pytest.mark.full),
    pytest.param("local", marks=pytest.mark.full),
]
USERS = ("secureflow.engines.training.noising", "secureflow.engines.privacy.dpsgd")


def accounted(noise: str, rounds: int = 1) -> float:
    return epsilon(charge(job_spec(noise, 1.0, DELTA, rounds)), DELTA, "pld")


def draw(monkeypatch: pytest.MonkeyPatch, share: float) -> None:
    """Let every place draw only this share of the noise's width."""

    def weak(sigma: float, size: int, seed: bytes) -> Any:
        return gaussian.sample(sigma * share, size, seed) if share else np.zeros(size, np.int64)

    for module in USERS:
        monkeypatch.setattr(f"{module}.sample", weak)


def test_the_canary_moves_the_sum_by_the_whole_clip(tmp_path: Path) -> None:
    """Else the audit would measure a record that shows less than the accounting allows for."""
    spec = job_spec("enclave", 1.0, DELTA)
    assert spec.privacy
    sums = []
    for canary in (True, False):
        runner = NumpyRunner(spec, columns(0, canary=canary))
        np.zeros(4, np.float32).tofile(tmp_path / "model")
        (tmp_path / "update").write_bytes(bytes(16))
        runner.train(tmp_path / "model", tmp_path / "update", None, b"s" * 32)
        sums.append(np.fromfile(tmp_path / "update", np.float32))
    moved = sums[0] - sums[1]
    assert np.linalg.norm(moved) == pytest.approx(2.0**spec.privacy.bits, rel=0.01)
    assert abs(moved @ DIRECTION) == pytest.approx(np.linalg.norm(moved), rel=0.01)


@pytest.mark.parametrize("noise", MEASURED)
def test_the_measured_bound_stays_below_the_accounted_epsilon(noise: str, tmp_path: Path) -> None:
    bound = measured(tmp_path, job_spec(noise, 1.0, DELTA), pilot=100, runs=300)
    assert bound <= accounted(noise)
    assert bound > 0.3  # it sees something: with too little noise it would show


@pytest.mark.parametrize("noise", PLACEMENTS)
def test_noise_that_is_off_is_found(
    noise: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw(monkeypatch, 0.0)
    assert measured(tmp_path, job_spec(noise, 1.0, DELTA), pilot=20, runs=60) > accounted(noise)


@pytest.mark.full
def test_half_of_the_noise_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw(monkeypatch, 0.5)
    bound = measured(tmp_path, job_spec("enclave", 1.0, DELTA), pilot=300, runs=1000)
    assert bound > accounted("enclave")


@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.parametrize("noise", PLACEMENTS)
@pytest.mark.parametrize("share", [1.0, 0.5])
def test_many_runs_of_several_rounds(
    noise: str, share: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw(monkeypatch, share)
    spec = job_spec(noise, 2**0.5, DELTA, rounds=2)
    limit = epsilon(charge(spec), DELTA, "pld")
    bound = measured(tmp_path, spec, pilot=500, runs=2500)
    assert (bound > limit) == (share < 1.0), (bound, limit)
