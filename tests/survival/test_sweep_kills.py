"""SIGKILL within a sweep: each point is run once, by one job, and charged once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from secureflow.agent import api
from secureflow.demo.platform import Platform
from secureflow.domain.ids import part_id
from secureflow.domain.jobs import Job
from secureflow.domain.schemas import DatasetPrivacy
from secureflow.domain.specs.base import dump
from secureflow.domain.specs.training import TrainingPlan
from tests.survival.points import Arming
from tests.survival.world import check_story, own_entries, platform, run_under, training, verified

BUDGET = DatasetPrivacy("adult", epsilon=1000.0, delta=1e-5, required=False)
PRIVACY = {"delta": 1e-6, "noise_multiplier": 8.0, "rows": 900, "noise": "shared"}
POINTS = [{"plan.learning_rate": 0.1}, {"plan.learning_rate": 0.2}]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    directory: Path = tmp_path_factory.mktemp("sweeps") / "p"
    with platform(directory, budget=BUDGET) as built:
        yield built


def request(place: Platform) -> dict[str, Any]:
    """A private sweep of two points with a round each."""
    plan = TrainingPlan(rounds=1, learning_rate=0.1, validation=0.0)
    asked = {k: v for k, v in dump(training(place, plan, protection="secagg")).items()
             if v is not None}  # fmt: skip
    numeric = [{**one, "scale": "bounds"} for one in asked["features"]["numeric"]]
    asked["features"] = {**asked["features"], "numeric": numeric}
    return {**asked, "kind": "sweep", "privacy": PRIVACY, "sweep": {"list": POINTS}}


def spent(place: Platform, party: str) -> float:
    (domain,) = api.data_budget(place.parties[party].config, exact=False)
    return float(domain["spent"])


def check_sweep(place: Platform, job: Job) -> list[Job]:
    """Each point ran once, in its own job, and the log tells all of it once."""
    assert job.state == "succeeded", job.error
    report: dict[str, Any] = job.report or {}
    assert [row["state"] for row in report["points"]] == ["succeeded"] * 2, report["points"]
    with place.client("bank-a") as client:
        listed = [one.id for one in client.jobs.list() if one.name.startswith(f"{job.name} #")]
        parts = [client.jobs.get(part_id(job.id, number)) for number in (1, 2)]
        entries = own_entries(client.jobs.bundle(job.id), job.id)
    assert Counter(listed)[parts[0].id] == Counter(listed)[parts[1].id] == 1
    kinds = Counter(entry["leaf"]["leaf"]["kind"] for entry in entries)
    assert (kinds["job.part"], kinds["job.proposed"], kinds["approval"]) == (2, 1, 3)
    assert verified(place, job.id)
    for part in parts:
        check_story(place, part)
    return parts


@pytest.mark.parametrize(
    ("process", "kinds", "share"),
    [
        ("server", (" before", " after", "uncommitted"), 0.12),
        ("bank-b", ("consent ", "setup ", "finish "), 1.0),
    ],
    ids=["server", "agent"],
)
def test_a_process_killed_within_a_sweep(
    place: Platform, process: str, kinds: tuple[str, ...], share: float
) -> None:
    before = {party: spent(place, party) for party in place.parties}
    job, died = run_under(place, Arming(process, kinds, share=share, seed=6), request(place))
    assert len(died) >= 4, died
    check_sweep(place, job)
    after = {party: spent(place, party) for party in place.parties}
    cost = {party: after[party] - before[party] for party in after}
    # Charges add up in Rényi divergence, so that only those of one run can be compared.
    assert max(cost.values()) - min(cost.values()) < 1e-9, cost
    config = place.parties[process if process in place.parties else "bank-a"].config
    (domain,) = api.data_budget(config, exact=False)
    held = {one["job"]: one for one in domain["reservations"]}
    assert held[job.id]["charge"] == []
    for number in (1, 2):
        part = held[part_id(job.id, number)]
        assert (part["state"], [one["count"] for one in part["charge"]]) == ("committed", [1])
