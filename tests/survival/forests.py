"""A boosted tree whose processes are killed: a low one, so that each level is met once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from secureflow.demo.data import demo_features
from secureflow.demo.platform import Platform
from secureflow.domain.specs.training import TrainingPlan
from secureflow.domain.specs.tree_families import XgboostModel
from secureflow.sdk import TrainingRequest
from tests.survival.points import Arming
from tests.survival.world import check_story, run_under, training

_SUMMED: dict[str, Any] = {"min_node_rows": 10}


def trees_request(place: Platform, protection: str, **model: Any) -> TrainingRequest:
    """Return a job of one tree of two levels, or of so many `rounds` of parties' own trees."""
    rounds = model.pop("rounds", 1)
    features = demo_features()
    numeric = tuple(replace(one, scale="bounds") for one in features.numeric)
    facts: dict[str, Any] = {
        "features": replace(features, numeric=numeric, categorical=()),
        "model": XgboostModel("xgboost", **{"max_depth": 2, "bins": 16} | (model or _SUMMED)),
        "protection": protection,
    }
    return training(place, TrainingPlan(rounds=rounds, learning_rate=0.3), **facts)


def grown(place: Platform, protection: str, arming: Arming | None) -> tuple[str, list[str]]:
    """Return the digest of the trees, and where the process died."""
    job, died = run_under(place, arming, trees_request(place, protection))
    assert job.state == "succeeded", (job.error, died[-3:])
    check_story(place, job)
    report: dict[str, Any] = job.report or {}
    assert report["rounds"] == len(report["history"]) == 1
    return str(report["model"]["digest"]), died
