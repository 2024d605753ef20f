"""A sweep over real processes: one approval for all, a table at the end, each charged once."""

from __future__ import annotations

from typing import Any

import pytest

from secureflow.agent import api
from secureflow.demo.platform import Platform
from secureflow.domain.ids import part_id
from secureflow.domain.specs.privacy import Privacy
from secureflow.domain.specs.training import TrainingPlan
from tests.survival.world import await_end, check_story, training, verified

PLAN = TrainingPlan(rounds=2, batch_size=64, learning_rate=0.1)


def spent(place: Platform) -> list[float]:
    """What each owner's budget counts as spent."""
    return [
        float(api.data_budget(owner.config, exact=False)[0]["spent"])
        for owner in place.parties.values()
    ]


def test_one_approval_covers_every_point_and_the_best_model_is_named(place: Platform) -> None:
    request = training(place, PLAN, protection="secagg", name="rates")
    with place.client("bank-a") as client:
        job = client.jobs.sweep(
            request, grid={"plan.learning_rate": [0.05, 0.5], "plan.rounds": [1, 2]}, metric="auc"
        )
        job = await_end(client, job.id)
        assert job.state == "succeeded", str(job.error)
        report: dict[str, Any] = job.report or {}
        assert [row["state"] for row in report["points"]] == ["succeeded"] * 4
        assert [row["rounds"] for row in report["points"]] == [1, 2, 1, 2]
        best = max(report["points"], key=lambda row: float(row["metrics"]["auc"]))
        assert report["best"]["point"] == best["point"]
        model = client.models.get(report["best"]["model"]["id"])
        assert model.job == part_id(job.id, best["point"])
        assert model.name == f"rates #{best['point']}"
        parts = [client.jobs.get(row["job"]) for row in report["points"]]
        assert [one.spec["part_of"] for one in parts] == [
            {"job": job.id, "number": number} for number in (1, 2, 3, 4)
        ]
        page = client.jobs.report_html(job.id)
        assert 'class="parallel"' in page
        assert all(one.id in page for one in parts)
        explained = client.jobs.explain(job.id)
        assert [one["state"] for one in explained["points"]] == ["succeeded"] * 4
        told = [event for event in client.jobs.watch(job.id) if event.kind == "point"]
        assert [event.data["state"] for event in told] == ["started", "succeeded"] * 4
    assert verified(place, job.id)
    for one in parts:
        check_story(place, one)


@pytest.mark.full
def test_under_differential_privacy_the_whole_is_reserved_and_each_point_charged(
    place: Platform,
) -> None:
    before = spent(place)
    privacy = Privacy(delta=1e-6, noise_multiplier=8.0, rows=900, noise="shared", metrics_noise=9.0)
    plan = TrainingPlan(rounds=2, learning_rate=0.5)
    request = training(place, plan, protection="secagg", name="private", privacy=privacy)
    request = replace_scale(request)
    with place.client("bank-a") as client:
        job = client.jobs.sweep(
            request, points=[{"plan.learning_rate": 0.1}, {"plan.rounds": 1}], epsilon=15.0
        )
        job = await_end(client, job.id)
        assert job.state == "succeeded", str(job.error)
        report: dict[str, Any] = job.report or {}
    assert [row["state"] for row in report["points"]] == ["succeeded"] * 2
    assert report["best"]["metric"]["name"] == "loss"
    after = spent(place)
    assert all(now > then for now, then in zip(after, before, strict=True))
    config = next(iter(place.parties.values())).config
    listed = api.data_budget(config, exact=False)[0]["reservations"]
    held = {one["job"]: one for one in listed}
    assert held[job.id]["charge"] == []  # all of it was drawn
    assert [held[row["job"]]["state"] for row in report["points"]] == ["committed"] * 2
    assert verified(place, job.id)


def replace_scale(request: Any) -> Any:
    """Scale numbers to their declared bounds, as differential privacy needs."""
    from dataclasses import replace

    features = request.features
    numeric = tuple(replace(one, scale="bounds") for one in features.numeric)
    return replace(request, features=replace(features, numeric=numeric))
