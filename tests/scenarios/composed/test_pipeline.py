"""A pipeline over real processes: approved once, each step takes what the one before gave."""

from __future__ import annotations

from typing import Any

import pytest

from secureflow.agent import api
from secureflow.demo.data import PURPOSE
from secureflow.demo.platform import Platform
from secureflow.domain.ids import part_id
from secureflow.domain.specs.base import dump
from secureflow.domain.specs.training import TrainingPlan
from tests.survival.world import await_end, check_story, training, verified

PLAN = TrainingPlan(rounds=1, batch_size=64, learning_rate=0.1)
COUNT = {"queries": [{"name": "rows", "measure": "count"}],
         "privacy": {"delta": 1e-6, "noise_multiplier": 8.0}}  # fmt: skip


def asked(place: Platform, *steps: dict[str, Any], **changes: Any) -> dict[str, Any]:
    datasets = [owner.dataset_id for owner in place.parties.values()]
    head = {"project": place.project, "name": "risk", "purpose": PURPOSE, "datasets": datasets}
    return {**head, "kind": "pipeline", "steps": list(steps), **changes}


def trained(place: Platform, **changes: Any) -> dict[str, Any]:
    """The members that only a training has."""
    request = dump(training(place, PLAN, protection="secagg"))
    wanted = ("features", "plan", "protection")
    return {"kind": "training", **{name: request[name] for name in wanted}, **changes}


def spent(place: Platform) -> list[float]:
    parties = place.parties.values()
    return [float(api.data_budget(one.config, exact=False)[0]["spent"]) for one in parties]


def test_statistics_then_training_then_evaluation_and_one_approval_covers_all(
    place: Platform,
) -> None:
    steps = (
        {"id": "count", "kind": "statistics", **COUNT},
        {"id": "train", **trained(place)},
        {"id": "test", "kind": "evaluation", "models": [{"step": "train"}]},
        {"id": "score", "kind": "prediction", "model": {"step": "train"}},
    )
    before = spent(place)
    with place.client("bank-a") as client:
        job = await_end(client, client.jobs.submit(asked(place, *steps)).id)
        assert job.state == "succeeded", str(job.error)
        report: dict[str, Any] = job.report or {}
        assert [(row["step"], row["state"]) for row in report["steps"]] == [
            ("count", "succeeded"), ("train", "succeeded"),
            ("test", "succeeded"), ("score", "succeeded"),
        ]  # fmt: skip
        parts = [client.jobs.get(part_id(job.id, number)) for number in (1, 2, 3, 4)]
        model = client.models.get(report["steps"][1]["model"]["id"])
        assert parts[2].spec["models"][0]["digest"] == model.digest
        assert parts[2].spec["models"][0]["moments"]
        assert parts[3].spec["model"]["digest"] == model.digest
        figures = (parts[2].report or {})["evaluation"]["models"][0]["figures"]
        assert 0.4 < figures["auc"] <= 1.0
        assert report["privacy"]["epsilon"] > 0
        page = client.jobs.report_html(job.id)
        assert all(one.id in page for one in parts)
        explained = client.jobs.explain(job.id)
        assert set(explained["step_explanations"]) == {"count", "train", "test", "score"}
        together = [row for row in explained["disclosure"] if row.get("together")]
        assert any(set(row["steps"]) >= {"train", "count"} for row in together)
    assert verified(place, job.id)
    check_story(place, parts[1])
    assert all(verified(place, one.id) for one in parts)
    after = spent(place)
    assert all(now > then for now, then in zip(after, before, strict=True))


@pytest.mark.full
def test_a_recipe_is_fitted_and_a_model_learns_from_what_it_makes(place: Platform) -> None:
    fit = {"kind": "preparation", "columns": ["age", "sex"], "steps": [
        {"step": "standardise", "columns": ["age"]}, {"step": "one_hot", "columns": ["sex"]},
    ]}  # fmt: skip
    label = trained(place)["features"]["label"]
    features = {"label": label, "recipe": {"step": "fit"}}
    steps = (
        {"id": "test", "kind": "evaluation", "models": [{"step": "train"}]},
        {"id": "train", **trained(place, features=features)},
        {"id": "fit", **fit},
    )
    with place.client("bank-a") as client:
        job = await_end(client, client.jobs.submit(asked(place, *steps, attempts=2)).id)
        assert job.state == "succeeded", str(job.error)
        fitted, learned, tested = (client.jobs.get(part_id(job.id, n)) for n in (1, 3, 5))
        recipe = learned.spec["features"]["recipe"]
        assert recipe["job"] == fitted.id
        assert recipe["fits"][0]["columns"]["age"]["mean"] > 20
        assert tested.spec["models"][0]["features"]["recipe"] == recipe


def test_a_step_that_failed_is_tried_again_under_the_same_approval(place: Platform) -> None:
    steps = (
        {"id": "train", **trained(place)},
        {"id": "test", "kind": "evaluation", "models": [{"step": "train"}]},
    )
    with place.client("bank-a") as client:
        job = client.jobs.submit(asked(place, *steps, attempts=2))
        for event in client.jobs.watch(job.id):
            if event.kind == "step" and event.data["state"] == "started":
                client.jobs.cancel(event.data["job"])  # of this step alone
            if event.kind == "state" and event.data["state"] == "paused":
                break
        paused = client.jobs.get(job.id)
        assert paused.error is not None
        assert (paused.error["code"], paused.error["details"]["step"]) == ("step_failed", "train")
        client.jobs.resume(job.id)
        job = await_end(client, job.id)
        assert job.state == "succeeded", str(job.error)
        rows = (job.report or {})["steps"]
        assert [(row["step"], row["state"]) for row in rows] == [
            ("train", "cancelled"), ("train", "succeeded"), ("test", "succeeded"),
        ]  # fmt: skip
    assert verified(place, job.id)
