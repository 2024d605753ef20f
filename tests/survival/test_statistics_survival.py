"""SIGKILL at every step of a statistics job: one draw of noise is seen, and one charge is paid.

An agent cannot draw its noise again, so what it recorded before it died is what it sends after; the
ledger has one update of each party, and the total opens.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from secureflow.agent import api
from secureflow.demo.data import PURPOSE
from secureflow.demo.platform import Platform
from secureflow.domain.noise import NoiseWish
from secureflow.domain.schemas import DatasetPrivacy
from secureflow.sdk import StatisticsRequest, query
from tests.survival.points import Arming
from tests.survival.world import ROWS, check_story, platform, run_under

pytestmark = [pytest.mark.xdist_group("statistics-kills"), pytest.mark.timeout(400)]
BUDGET = DatasetPrivacy("adult", epsilon=100.0, delta=1e-5)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    directory: Path = tmp_path_factory.mktemp("statistics") / "p"
    with platform(directory, budget=BUDGET) as built:
        yield built


def asked(place: Platform) -> StatisticsRequest:
    datasets = tuple(owner.dataset_id for owner in place.parties.values())
    queries = (query("count"), query("mean:age:by=sex"))
    return StatisticsRequest(
        place.project, "ages", PURPOSE, datasets, queries, NoiseWish(1e-6, noise_multiplier=2.0)
    )


def reserved(place: Platform, party: str) -> dict[str, dict[str, Any]]:
    (domain,) = api.data_budget(place.parties[party].config, exact=False)
    return {one["job"]: one for one in domain["reservations"]}


STEPS = [
    (None, (), 0),
    ("server", (" before", " after"), 14),
    ("server", ("uncommitted",), 7),
    ("bank-b", (), 14),
]


@pytest.mark.parametrize(
    ("process", "kinds", "fewest"), STEPS, ids=[f"{step[0]}{step[1]}" for step in STEPS]
)
def test_a_process_killed_at_each_step(
    place: Platform, process: str | None, kinds: tuple[str, ...], fewest: int
) -> None:
    arming = None if process is None else Arming(process, kinds)
    job, died = run_under(place, arming, asked(place))
    assert job.state == "succeeded", (job.error, died[-3:])
    assert len(died) >= fewest, died
    check_story(place, job, models=0)
    report = job.report or {}
    (count,) = report["answers"][0]["rows"]
    assert abs(count["value"] - 3 * ROWS) <= 6 * count["standard_error"]
    assert report["survivors"] == list(place.parties)
    for party in place.parties:
        paid = reserved(place, party)[job.id]
        assert (paid["state"], [one["count"] for one in paid["charge"]]) == ("committed", [2])
