"""SIGKILL at every step of a masked job, and dropouts at every stage of a masked round.

The same model comes out, bit by bit: sums are exact in the ring, and a restarted client repeats its
words. What cannot be opened ends in an error that names who is missing.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from secureflow.demo.platform import Platform
from secureflow.domain.specs import TrainingPlan
from tests.survival.points import Arming
from tests.survival.world import check_story, platform, run_under, training

pytestmark = [pytest.mark.xdist_group("masked-kills"), pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    directory: Path = tmp_path_factory.mktemp("masked") / "p"
    with platform(directory) as built:
        yield built


@pytest.fixture(scope="module", params=["secagg", "sealed+secagg"])
def undisturbed(place: Platform, request: pytest.FixtureRequest) -> tuple[str, str]:
    """Return a protection, and the model that a job under it gives."""
    job, _ = run_under(place, None, training(place, protection=request.param))
    assert job.state == "succeeded", job.error
    check_story(place, job)
    assert job.report is not None
    return request.param, str(job.report["model"]["digest"])


STEPS = [
    ("server", (" before", " after"), 30),
    ("server", ("uncommitted",), 15),
    ("bank-b", (), 30),
    ("enclave", (), 0),
]


@pytest.mark.parametrize(
    ("process", "kinds", "fewest"), STEPS, ids=[f"{s[0]}{s[1]}" for s in STEPS]
)
def test_a_process_killed_at_each_step(
    place: Platform,
    undisturbed: tuple[str, str],
    process: str,
    kinds: tuple[str, ...],
    fewest: int,
) -> None:
    protection, digest = undisturbed
    if process == "enclave" and protection == "secagg":
        pytest.skip("there is no enclave in this job")
    job, died = run_under(place, Arming(process, kinds), training(place, protection=protection))
    assert job.state == "succeeded", (job.error, died[-3:])
    assert len(died) >= fewest, died
    assert job.report is not None
    assert job.report["model"]["digest"] == digest
    check_story(place, job)


@pytest.mark.parametrize("protection", ["secagg", "sealed+secagg"])
def test_masks_change_the_model_by_rounding_alone(place: Platform, protection: str) -> None:
    """The same rows and seeds under the seal alone: coordinates agree to a float32, or nearly.

    One round: the next one's shuffles follow from the model's digest, to the last bit.
    """
    plan = TrainingPlan(rounds=1, batch_size=64, learning_rate=0.1)
    sealed, _ = run_under(place, None, training(place, plan))
    masked, _ = run_under(place, None, training(place, plan, protection=protection))
    reports = [job.report for job in (sealed, masked) if job.report is not None]
    with place.client("bank-a") as client:
        one, other = (client.models.load(told["model"]["id"]).parameters for told in reports)
    assert np.abs(one).max() > 0.01
    np.testing.assert_allclose(one, other, rtol=0, atol=1e-5)
    assert reports[0]["metrics"]["loss"] == pytest.approx(reports[1]["metrics"]["loss"], abs=1e-4)
