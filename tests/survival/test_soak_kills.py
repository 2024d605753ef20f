"""The long version: every process may die at any point, again and again, from seeds."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from secureflow.demo.platform import Platform
from secureflow.domain.specs.training import TrainingPlan
from tests.survival.points import Arming, deaths
from tests.survival.world import check_story, platform, run_under, training

pytestmark = [
    pytest.mark.soak,
    pytest.mark.timeout(3600),
]
PLAN = TrainingPlan(rounds=3, batch_size=64, learning_rate=0.1)
SEEDS = range(int(os.environ.get("SECUREFLOW_SOAK_SEEDS", "40")))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with platform(tmp_path_factory.mktemp("soak") / "p") as built:
        yield built


@pytest.fixture(scope="module")
def undisturbed(place: Platform) -> str:
    job, _ = run_under(place, None, training(place, PLAN))
    assert job.state == "succeeded", job.error
    assert job.report is not None
    return str(job.report["model"]["digest"])


@pytest.mark.parametrize("seed", SEEDS)
def test_random_deaths(place: Platform, undisturbed: str, seed: int) -> None:
    points = place.directory / "points"
    arming = Arming("*", chance=0.04, seed=seed, most=10_000)
    job, _ = run_under(place, arming, training(place, PLAN))
    died = {name: deaths(points, name) for name in place.processes}
    assert job.state == "succeeded", (job.error, died)
    assert job.report is not None
    assert job.report["model"]["digest"] == undisturbed, died
    check_story(place, job)


def test_uncommitted_deaths_of_the_server(place: Platform, undisturbed: str) -> None:
    """Also at every commit of the runner, with everything of it written and nothing durable."""
    job, died = run_under(place, Arming("server"), training(place, PLAN))
    assert job.state == "succeeded", (job.error, died)
    assert any("uncommitted" in point for point in died)
    assert job.report is not None
    assert job.report["model"]["digest"] == undisturbed
    check_story(place, job)
