"""A small private timetable, and what must hold of one whatever died meanwhile."""

from __future__ import annotations

from collections import Counter
from typing import Any

from secureflow.agent import api
from secureflow.demo.platform import Platform
from secureflow.domain.ids import part_id
from secureflow.domain.jobs import Job
from secureflow.sdk.timetables import repeating
from tests.survival.sweeps import sweep_request
from tests.survival.world import check_story, own_entries, verified


def timetable_request(place: Platform) -> dict[str, Any]:
    """A private training of one round, to be run once, at once."""
    run = sweep_request(place) | {"kind": "training", "name": "nightly"}
    del run["sweep"]
    return dict(repeating(run, every=600, runs=1))


def check_timetable(place: Platform, job: Job) -> None:
    """Its run was one job, read rows once, was charged once, and the log tells it once."""
    assert job.state == "succeeded", job.error
    report: dict[str, Any] = job.report or {}
    assert [row["state"] for row in report["runs"]] == ["succeeded"], report["runs"]
    with place.client("bank-a") as client:
        run = client.jobs.get(part_id(job.id, 1))
        listed = [one.id for one in client.jobs.list() if one.name == run.name]
        entries = own_entries(client.jobs.bundle(job.id), job.id)
    assert listed == [run.id]
    kinds = Counter(entry["leaf"]["leaf"]["kind"] for entry in entries)
    assert (kinds["job.part"], kinds["job.proposed"], kinds["approval"]) == (1, 1, 3)
    assert verified(place, job.id)
    check_story(place, run)
    for owner in place.parties.values():
        (domain,) = api.data_budget(owner.config, exact=False)
        held = {one["job"]: one for one in domain["reservations"]}
        assert held[job.id]["charge"] == []
        own = held[run.id]
        assert (own["state"], [one["count"] for one in own["charge"]]) == ("committed", [1])
