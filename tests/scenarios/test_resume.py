"""A job that goes on from another job's released model, with new approvals."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from secureflow.demo.platform import Platform
from secureflow.demo.play import consent
from secureflow.domain.specs import Resume
from tests.survival.world import await_end, platform, training, verified

pytestmark = [pytest.mark.xdist_group("resume"), pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    directory = tmp_path_factory.mktemp("resume") / "p"
    with platform(directory, mortal=False, policy="") as built:
        yield built


def test_a_job_goes_on_from_a_released_round(place: Platform) -> None:
    with place.client("bank-a") as client:
        first = client.jobs.submit(training(place))
        consent(place, first.id)
        earlier = await_end(client, first.id)
        assert earlier.state == "succeeded", earlier.error
        report = client.jobs.report(first.id)
        start = Resume(first.id, report["rounds"], report["model"]["digest"])
        second = client.jobs.submit(replace(training(place), resume=start))
        consent(place, second.id)
        later = await_end(client, second.id)
        assert later.state == "succeeded", later.error
        history = client.jobs.report(second.id)["history"]
        # Round 1 measures the model that it starts from: the one that the first job ended with.
        assert history[0]["loss"] == pytest.approx(report["metrics"]["loss"], abs=1e-6)
        assert history[0]["loss"] < report["history"][0]["loss"]
        assert verified(place, second.id)
