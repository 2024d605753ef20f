"""What sums may come to: their caps under a party's own noise, and α beside means without any."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from unit.engines.training.family_world import private
from unit.engines.training.sklearn_world import job_of

from secureflow.domain.specs.sum_rules import _noised
from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.training.encodings import check_mean
from secureflow.engines.training.private import privacy_of
from secureflow.engines.training.settling import noise_width, settled, smoothing
from secureflow.kit.errors import SecureFlowError

WHOLE: dict[str, Any] = {"plan": {"validation": 0.0}}
SURE = 6.0
"""Standard deviations that noise stays within, but for once in a thousand million."""


def longest_means(job: TrainingSpec, drawn: float) -> tuple[float, float]:
    """Return norm and largest coordinate of a party's means, by what the parties compute.

    Args:
        job: with noise of each party's own.
        drawn: rows that a party with all of them may draw, of those that it is expected to.
    """
    privacy, count = privacy_of(job), job.model_parameters
    nothing = np.zeros(job.parameters)
    added = np.zeros(1) if job.model.family == "kmeans" else settled(job, nothing, nothing)
    rows = len(job.roster) * privacy.clipping_norm * drawn
    width = noise_width(job, privacy) * len(job.roster) ** 0.5  # its own, not that of the mean
    noise = (np.sqrt(count) + SURE) * width
    largest = float(np.abs(added).max())
    return rows + float(np.linalg.norm(added)) + noise, rows + largest + SURE * width


@pytest.mark.parametrize("multiplier", [0.1, 4.0])
@pytest.mark.parametrize(
    ("family", "target", "model"),
    [
        ("ridge", "number", {}),
        ("gaussian_nb", "classes", {}),
        ("multinomial_nb", "binary", {"alpha": 300.0}),
        ("kmeans", "none", {}),
    ],
)
def test_noised_means_and_what_is_added_to_them_fit_the_caps(
    family: str, target: str, model: dict[str, Any], multiplier: float
) -> None:
    noise = private("local", multiplier, clipping_norm=0.5)
    rounds = {"rounds": 5 if family == "kmeans" else 1}
    job = job_of(family, target, model=model, plan=rounds, **noise)
    assert job.features is not None
    allowed = _noised(job, job.features, privacy_of(job))
    norm, largest = longest_means(job, 1.0)
    assert norm <= allowed.norm * (1 + 1e-9)
    assert largest <= allowed.coordinate * (1 + 1e-9)
    assert allowed.norm < 2 * norm  # and are no looser than that


@pytest.mark.parametrize("multiplier", [0.1, 4.0])
def test_rows_that_are_drawn_fit_the_caps_however_many_are_drawn(multiplier: float) -> None:
    rows, share = 400, 0.25
    noise = private("local", multiplier, clipping_norm=0.5, rows=rows, sampling=share)
    job = job_of("kmeans", "none", **noise)
    assert job.features is not None
    most = np.random.default_rng(3).binomial(rows, share, 1_000_000).max() / (rows * share)
    assert most > 1.3
    allowed = _noised(job, job.features, privacy_of(job))
    norm, largest = longest_means(job, most)
    assert norm <= allowed.norm
    assert largest <= allowed.coordinate
    assert allowed.norm < 2 * norm


@pytest.mark.parametrize("noise", ["enclave", "shared", "local"])
def test_alpha_is_not_added_again_to_noised_means(noise: str) -> None:
    """`settled` has added it; under shared noise the sum is counted in steps of a lattice."""
    job = job_of("multinomial_nb", "binary", model={"alpha": 40.0}, **private(noise))
    nothing = np.zeros(job.parameters)
    assert settled(job, nothing, nothing).max() >= 40.0 / 300
    assert smoothing(job, 300) is None
    added = smoothing(replace(job, privacy=None), 300)
    assert added is not None
    assert added.max() == pytest.approx(40.0 / 300)


@pytest.mark.parametrize("cap", ["the norm", "a coordinate"])
def test_a_published_mean_may_be_longer_by_alpha_and_no_more(cap: str) -> None:
    """Each cap is met, while the other one is wide."""
    norm, largest = (10.0, 1000.0) if cap == "the norm" else (1000.0, 10.0)
    caps = {"limits": {"clip_norm": norm}, "quantisation": {"clip": largest}}
    model = {"alpha": 400.0}
    job = job_of("multinomial_nb", "binary", model=model, protection="secagg", **caps, **WHOLE)
    added = smoothing(job, 1)
    assert added is not None
    mean = added.copy()
    if cap == "the norm":
        mean *= 1 + norm / np.linalg.norm(added)
    else:
        mean[added.argmax()] += largest
    check_mean(job, mean.astype(np.float32))
    with pytest.raises(SecureFlowError) as refused:
        check_mean(job, (mean * (1 + 1e-3)).astype(np.float32))
    assert refused.value.code == "model_inconsistent"
