"""Differentially private jobs on real processes: noise in the enclave, shared out, and kills.

Four banks with a few hundred rows each and a privacy budget. Noise differs from job to job, so what
is compared is what must hold in each: the parties agree on every model, one charge per job at every
agent, figures within the noise.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from secureflow.agent import api
from secureflow.demo.data import private_features
from secureflow.demo.platform import Platform
from secureflow.domain.schemas import DatasetPrivacy
from secureflow.domain.specs.privacy import AdaptiveClipping, Privacy
from secureflow.domain.specs.training import TrainingPlan
from secureflow.domain.specs.tree_families import XgboostModel
from secureflow.domain.specs.updatelimits import Limits
from secureflow.kit.errors import SecureFlowError
from secureflow.sdk import TrainingRequest
from tests.survival.points import Arming
from tests.survival.test_kills import SHARES, enough
from tests.survival.world import ROWS, check_story, platform, run_under, training

BANKS = 4
DELTA = 1e-5
RECORD = Privacy(delta=DELTA, noise_multiplier=4.0, rows=BANKS * ROWS, metrics_noise=4.0)
PARTY = Privacy(
    delta=1e-2, noise_multiplier=1.5, unit="party", mechanism="central",
    party_unit_acknowledged=True, adaptive=AdaptiveClipping(bit_noise=1.0), bits=12,
)  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    directory = tmp_path_factory.mktemp("private") / "p"
    budget = DatasetPrivacy("adult", 500.0, DELTA)
    with platform(directory, BANKS, budget=budget) as built:
        yield built


@pytest.fixture(scope="module")
def federation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """Return banks that account per party."""
    directory = tmp_path_factory.mktemp("parties") / "p"
    budget = DatasetPrivacy("adult", 500.0, 1e-2, unit="party")
    with platform(directory, BANKS, budget=budget, mortal=False) as built:
        yield built


def request(place: Platform, privacy: Privacy, rounds: int = 2, **changes: Any) -> TrainingRequest:
    plan = TrainingPlan(
        rounds=rounds, learning_rate=1.0, validation=0.3 if privacy.metrics_noise else 0.0
    )
    return training(place, plan, features=private_features(), privacy=privacy, **changes)


def spent(place: Platform, job: str) -> list[list[dict[str, Any]]]:
    """Return what each agent's budget charged for the job."""
    told = [api.data_budget(owner.config, exact=False)[0] for owner in place.parties.values()]
    return [[one for one in domain["reservations"] if one["job"] == job] for domain in told]


def check_charged_once(place: Platform, job: str, rounds: int, privacy: Privacy) -> None:
    for lines in spent(place, job):
        (line,) = lines
        assert line["state"] == "committed"
        models, *evaluation = line["charge"]
        assert (models["noise"], models["count"]) == (privacy.noise_multiplier, rounds)
        assert [one["noise"] for one in evaluation] == ([4.0] if privacy.metrics_noise else [])


@pytest.mark.parametrize(
    ("protection", "noise"),
    [
        ("sealed", "enclave"),
        pytest.param("secagg", "shared", marks=pytest.mark.full),
        pytest.param("sealed+secagg", "shared", marks=pytest.mark.full),
        ("secagg", "local"),
    ],
)
def test_a_private_job_is_measured_charged_and_explained(
    place: Platform, protection: Any, noise: Any
) -> None:
    privacy = replace(RECORD, noise=noise)
    job, _ = run_under(place, None, request(place, privacy, protection=protection))
    assert job.state == "succeeded", job.error
    check_story(place, job)
    check_charged_once(place, job.id, 2, privacy)
    report = job.report or {}
    measured = report["metrics"]
    # 1,200 rows, three tenths of them: 360, within the noise of σ = 8 (√2 · 8 shared, 16 local).
    assert abs(measured["rows"] - 0.3 * BANKS * ROWS) < 6 * 16 + 60
    assert 0.0 <= measured["accuracy"] <= 1.0
    assert measured["rows"] != round(measured["rows"])  # nobody is told a count
    assert all(line["rows"] is None for line in report["contributions"].values())
    assert "accuracy" not in report["history"][0]
    assert report["privacy"]["epsilon"] <= report["privacy"]["epsilon_planned"]["rdp-cks20"] + 1e-5
    with place.client("bank-a") as client:
        explained = client.jobs.explain(job.id)
    numbers = {row["number"]: row["charge"] for row in explained["privacy"]["released"]}
    assert numbers["metrics of the final model"][0]["noise"] == 4.0
    assert explained["privacy"]["noise"] == noise


@pytest.mark.parametrize(
    ("protection", "noise"),
    [
        pytest.param("sealed", "enclave", marks=pytest.mark.full),
        ("secagg", "shared"),
        pytest.param("sealed+secagg", "shared", marks=pytest.mark.full),
    ],
)
def test_each_level_of_noised_trees_is_charged(
    place: Platform, protection: Any, noise: Any
) -> None:
    """Agents grow the same trees from each published sum, which they check against the noise."""
    privacy, trees = replace(RECORD, noise=noise), 2
    plan = TrainingPlan(rounds=trees, learning_rate=0.3, validation=0.3)
    wanted = training(
        place, plan, features=private_features(), privacy=privacy, protection=protection,
        model=XgboostModel("xgboost", max_depth=2, bins=8),
    )  # fmt: skip
    job, _ = run_under(place, None, wanted)
    assert job.state == "succeeded", job.error
    check_story(place, job)
    check_charged_once(place, job.id, 1 + 2 * trees, privacy)
    report: dict[str, Any] = job.report or {}
    assert report["privacy"]["rounds"] == 1 + 2 * trees
    assert [row["round"] for row in report["history"]] == [1, 2]
    assert "accuracy" not in report["history"][0]
    with place.client("bank-a") as client:
        model = client.models.load(report["model"]["id"])
    assert np.isfinite(model.parameters).all()


@pytest.mark.full
def test_a_bound_that_adapts_moves_and_the_model_predicts(federation: Platform) -> None:
    job, _ = run_under(
        federation, None,
        request(federation, replace(PARTY, noise="shared"), rounds=3, protection="secagg"),
    )  # fmt: skip
    assert job.state == "succeeded", job.error
    check_story(federation, job)
    check_charged_once(federation, job.id, 3, PARTY)
    report = job.report or {}
    with federation.client("bank-a") as client:
        model = client.models.load(report["model"]["id"])
        rows = [dict.fromkeys(model.features.columns[:-1])]
    assert len(model.parameters) == model.features.width + 1
    assert np.isfinite(model.predict_proba(rows)).all()


@pytest.mark.full
def test_the_enclave_adapts_the_bound_too(federation: Platform) -> None:
    job, _ = run_under(federation, None, request(federation, PARTY))
    assert job.state == "succeeded", job.error
    check_charged_once(federation, job.id, 2, PARTY)


@pytest.mark.full
def test_four_go_on_as_three_and_the_noise_stays_whole(place: Platform) -> None:
    wanted = request(
        place, replace(RECORD, noise="shared"), rounds=40, protection="secagg",
        limits=Limits(patience_seconds=10.0),
    )  # fmt: skip
    with place.client("bank-a") as client:
        job = client.jobs.submit(wanted)
        for event in client.jobs.watch(job.id):
            if event.kind == "round":
                place.processes["bank-d"].kill()
                break
        ended = client.jobs.wait(job.id)
        place.start("bank-d")
    report = ended.report or {}
    assert report["history"][-1]["survivors"] == 3
    assert {drop["party"] for drop in report["dropouts"]} == {"bank-d"}


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize(
    ("process", "seed"), [pytest.param("bank-b", 3, marks=pytest.mark.full), ("server", 4)]
)
def test_a_killed_process_charges_once_and_all_agree(
    place: Platform, process: str, seed: int, share: float
) -> None:
    wanted = request(place, replace(RECORD, noise="shared"), protection="secagg")
    kinds = () if process == "bank-b" else (" after",)
    job, died = run_under(place, Arming(process, kinds, share=share, seed=seed), wanted)
    assert job.state == "succeeded", (job.error, died[-3:])
    assert len(died) >= enough(15, share), died
    check_story(place, job)
    check_charged_once(place, job.id, 2, RECORD)


def test_a_dry_run_says_what_the_evaluation_costs(place: Platform) -> None:
    wanted = request(place, replace(RECORD, noise_multiplier=None, epsilon=2.0))
    dearer = replace(wanted, privacy=replace(RECORD, metrics_noise=1.0, epsilon=2.0))
    with place.client("bank-a") as client:
        told = client.jobs.dry_run(wanted).details["privacy"]
        with pytest.raises(SecureFlowError) as refused:
            client.jobs.dry_run(dearer)
    assert told["epsilon"]["rdp-cks20"] <= 2.0
    assert told["metrics_noise"] == 4.0
    assert refused.value.code == "contradictory_spec"  # z = 1 alone costs more than ε = 2
