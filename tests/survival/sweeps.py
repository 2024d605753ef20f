"""A small private sweep, and what must hold of one whatever died meanwhile."""

from __future__ import annotations

from collections import Counter
from typing import Any

from secureflow.agent import api
from secureflow.demo.platform import Platform
from secureflow.domain.ids import part_id
from secureflow.domain.jobs import Job
from secureflow.domain.specs.base import dump
from secureflow.domain.specs.training import TrainingPlan
from tests.survival.world import check_story, own_entries, training, verified

PRIVACY = {"delta": 1e-6, "noise_multiplier": 8.0, "rows": 900, "noise": "shared"}
POINTS = [{"plan.learning_rate": 0.1}, {"plan.learning_rate": 0.2}]


def sweep_request(place: Platform) -> dict[str, Any]:
    """A private sweep of two points with a round each."""
    plan = TrainingPlan(rounds=1, learning_rate=0.1, validation=0.0)
    asked = {k: v for k, v in dump(training(place, plan, protection="secagg")).items()
             if v is not None}  # fmt: skip
    numeric = [{**one, "scale": "bounds"} for one in asked["features"]["numeric"]]
    asked["features"] = {**asked["features"], "numeric": numeric}
    return {**asked, "kind": "sweep", "privacy": PRIVACY, "sweep": {"list": POINTS}}


def check_sweep(place: Platform, job: Job) -> None:
    """Each point ran once, in its own job, was charged once, and the log tells it once."""
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
    for owner in place.parties.values():
        (domain,) = api.data_budget(owner.config, exact=False)
        held = {one["job"]: one for one in domain["reservations"]}
        assert held[job.id]["charge"] == []
        for part in parts:
            own = held[part.id]
            assert (own["state"], [one["count"] for one in own["charge"]]) == ("committed", [1])
